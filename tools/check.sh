#!/usr/bin/env bash
# Sets up and passes the tests: installs what is missing, builds, runs every
# test, and ends in ctest's summary.
#
#   tools/check.sh              g++, in build/check
#   tools/check.sh --clang      clang-14, in build/clang
#   tools/check.sh --sanitize   g++ with ASan and UBSan, in build/sanitize
#   tools/check.sh --aarch64    cross-compiled, under qemu, in build/aarch64
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/packages.sh

install "${build_packages[@]}" "${test_packages[@]}"
case "${1:-}" in
  "")
    folder=build/check
    options=(-DCMAKE_CXX_COMPILER=g++ -DCMAKE_C_COMPILER=gcc) ;;
  --clang)
    folder=build/clang
    install "${clang_packages[@]}"
    options=(-DCMAKE_CXX_COMPILER=clang++-14 -DCMAKE_C_COMPILER=clang-14) ;;
  --sanitize)
    folder=build/sanitize
    options=(-DBQENGINE_SANITIZE=address,undefined) ;;
  --aarch64)
    folder=build/aarch64
    if ! dpkg --print-foreign-architectures | grep -qx arm64; then
      echo "== Adding Debian's arm64 packages (dpkg --add-architecture arm64)"
      as_root dpkg --add-architecture arm64
    fi
    install "${aarch64_packages[@]}"
    options=(-DCMAKE_TOOLCHAIN_FILE="$PWD/tools/aarch64-toolchain.cmake") ;;
  *)
    sed -n '2,/^set/{s/^# \{0,1\}//p}' "$0"
    exit 2 ;;
esac

echo "== Configuring $folder"
cmake -S . -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DBQENGINE_DEVELOPER=ON "${options[@]}" | grep -E 'not built|Error|Warning' ||
  true
echo "== Building"
ninja -C "$folder" -j "$(jobs)" --quiet
echo "== Testing"
ctest --test-dir "$folder" --output-on-failure -j "$(nproc)"
