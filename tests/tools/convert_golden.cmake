# Converts the networks of GOLDEN with CONVERT into OUT, as a user would, with
# the preprocessing that each case.json tells. Run by ctest before golden_test.
file(MAKE_DIRECTORY ${OUT})
if(NOT EXISTS ${GOLDEN})
  message("${GOLDEN} is not on this machine: nothing to convert")
  return()
endif()
file(GLOB cases RELATIVE ${GOLDEN} ${GOLDEN}/*/case.json)
foreach(case IN LISTS cases)
  get_filename_component(name ${case} DIRECTORY)
  file(READ ${GOLDEN}/${case} text)
  string(JSON preprocess GET "${text}" preprocess)
  set(options --scale 1/255)
  if(preprocess MATCHES "\\*2-1")
    list(APPEND options --mean 0.5 --std 0.5)
  endif()
  execute_process(
    COMMAND ${CONVERT} ${GOLDEN}/${name}/model.onnx -o ${OUT}/${name}.json
            --name ${name} ${options}
    COMMAND_ERROR_IS_FATAL ANY)
endforeach()
