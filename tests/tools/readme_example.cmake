# Takes the C++ program out of README into OUT, so that what people copy is what
# the tests compile.
file(READ ${README} text)
if(NOT text MATCHES "```cpp\n(.*)")
  message(FATAL_ERROR "${README} has no program")
endif()
string(FIND "${CMAKE_MATCH_1}" "```" end)
string(SUBSTRING "${CMAKE_MATCH_1}" 0 ${end} program)
file(CONFIGURE OUTPUT ${OUT} CONTENT "${program}" @ONLY)
