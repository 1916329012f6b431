#!/usr/bin/env bash
# Compares binary layers with other engines' on this machine: installs oneDNN and
# XNNPACK, builds bq-bench-peers in build/check, and runs it.
#
#   bench/peers.sh [OPTION...]            options: bench/peers.sh --help
#   bench/peers.sh --python [OPTION...]   ONNX Runtime, OpenVINO, Larq: see
#                                         bench/peers/python_peers.sh --help
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/packages.sh

install "${build_packages[@]}" "${test_packages[@]}" "${bench_packages[@]}"
mkdir -p build/check
cmake -S . -B build/check -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DBQENGINE_DEVELOPER=ON >build/check/configure.log 2>&1 ||
  { cat build/check/configure.log; exit 1; }
ninja -C build/check -j "$(jobs)" --quiet bq-bench-peers >&2
if [ "${1:-}" = --python ]; then
  exec bench/peers/python_peers.sh --build build/check "${@:2}"
fi
exec build/check/bin/bq-bench-peers "$@"
