# cmake -DSOURCE=DIR -DOUT=commit.cc -P commit.cmake: writes the commit that DIR
# is a checkout of, with -dirty if files in it differ, or else "unknown": also
# where DIR only lies within another project's repository. Writes nothing if the
# file says so already, so that nothing is compiled anew.
set(commit "unknown")
function(git out)
  execute_process(COMMAND git -C ${SOURCE} ${ARGN}
    OUTPUT_VARIABLE text OUTPUT_STRIP_TRAILING_WHITESPACE
    RESULT_VARIABLE status ERROR_QUIET)
  if(NOT status EQUAL 0)
    set(text "")
  endif()
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

git(top rev-parse --show-toplevel)
if(top)
  file(REAL_PATH "${top}" top)
  file(REAL_PATH "${SOURCE}" source)
  if(top STREQUAL source)
    git(head rev-parse --verify HEAD)
    git(changes status --porcelain --untracked-files=no)
    if(head)
      set(commit "${head}")
    endif()
    if(head AND changes)
      string(APPEND commit "-dirty")
    endif()
  endif()
endif()

set(text "// Written by commit.cmake.
namespace bqengine::run {
extern const char kCommit[];
const char kCommit[] = \"${commit}\";
}  // namespace bqengine::run
")
set(old "")
if(EXISTS ${OUT})
  file(READ ${OUT} old)
endif()
if(NOT text STREQUAL old)
  file(WRITE ${OUT} "${text}")
endif()
