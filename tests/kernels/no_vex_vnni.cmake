# Fails if a library contains an int8 or int16 dot product in the encoding of
# AVX-VNNI, which processors with AVX-512 VNNI alone do not have. The compiler
# emits it where an attribute allows it (kernels/CMakeLists.txt).
#
#   cmake -DOBJDUMP=objdump -DLIBRARY=libx.a -P no_vex_vnni.cmake
execute_process(
  COMMAND ${OBJDUMP} -d --no-show-raw-insn ${LIBRARY}
  OUTPUT_VARIABLE code RESULT_VARIABLE status ERROR_VARIABLE error)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${OBJDUMP}: ${error}")
endif()
# An objdump that does not know AVX-512 would find nothing, either.
if(NOT code MATCHES "vpopcntd ")
  message(FATAL_ERROR "no vpopcntd in ${LIBRARY}: is this the right library?")
endif()
string(REGEX MATCH "[^\n]*{vex}[ \t]+vpdp[^\n]*" found "${code}")
if(found)
  message(FATAL_ERROR "${LIBRARY}: ${found}")
endif()
