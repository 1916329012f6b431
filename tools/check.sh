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
source tools/build.sh

# Tests, benchmarks and warnings as errors.
configure_check() { configure "$@" -DBQENGINE_DEVELOPER=ON; }

case "${1:-}" in
  "") folder=build/check ;;
  --clang) folder=build/clang ;;
  --sanitize) folder=build/sanitize ;;
  --aarch64) folder=build/aarch64 ;;
  *) sed -n '2,/^set/{s/^# \{0,1\}//p}' "$0"; exit 2 ;;
esac

install "${build_packages[@]}" "${test_packages[@]}"
case "$folder" in
  build/check)
    install "${torch_packages[@]}"
    configure_check "$folder" ;;
  build/clang)
    install "${clang_packages[@]}"
    configure_check "$folder" \
      -DCMAKE_CXX_COMPILER=clang++-14 -DCMAKE_C_COMPILER=clang-14 ;;
  build/sanitize)
    configure_check "$folder" -DBQENGINE_SANITIZE=address,undefined ;;
  build/aarch64)
    if ! dpkg --print-foreign-architectures | grep -qx arm64; then
      say "Adding Debian's arm64 packages (dpkg --add-architecture arm64)"
      as_root dpkg --add-architecture arm64
    fi
    install "${aarch64_packages[@]}"
    # Debian's libonnx for arm64 cannot be installed beside the other one, so
    # the test networks are converted on this machine.
    if [ ! -f build/check/build.ninja ]; then configure_check build/check; fi
    build build/check bq-convert
    configure_check "$folder" \
      -DCMAKE_TOOLCHAIN_FILE="$PWD/tools/aarch64-toolchain.cmake" \
      -DBQENGINE_HOST_CONVERT="$PWD/build/check/bin/bq-convert" ;;
esac
build "$folder"
say "Testing"
ctest --test-dir "$folder" --output-on-failure -j "$(nproc)"
