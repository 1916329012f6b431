#!/usr/bin/env bash
# install_test.sh BUILD_FOLDER: installs libbqengine from a user's build into a
# folder of its own, compiles the program of README.md against it with
# find_package, and runs it.
set -euo pipefail
build=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/prefix" >/dev/null
sed -n '/^```cpp$/,/^```$/p' README.md | sed '/^```/d' >"$work/example.cc"
cat >"$work/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(example CXX)
find_package(bqengine REQUIRED)
add_executable(example example.cc)
target_link_libraries(example PRIVATE bqengine::bqengine)
CMAKE
cmake -S "$work" -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix" \
  >/dev/null
ninja -C "$work/build" --quiet
"$work/build/example" tests/data/models/lenet-xnor-mnist.json
