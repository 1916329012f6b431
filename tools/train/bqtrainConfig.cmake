include(CMakeFindDependencyMacro)
find_dependency(bqengine)
find_dependency(Torch)
include(${CMAKE_CURRENT_LIST_DIR}/bqtrainTargets.cmake)
