#!/usr/bin/env bash
# Sets up and runs the main job: installs what is missing, builds into build/,
# and classifies the 500 MNIST test images that ship here with the network that
# ships here. Arguments go to bq-run (--threads 2, --backend cpu:avx2, --json).
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/build.sh

# Whether build/ is a user's build of this folder. One with tests would take
# many times as long.
is_configured() {
  [ -f build/build.ninja ] &&
    grep -qx "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" build/CMakeCache.txt &&
    ! grep -qx 'BQENGINE_DEVELOPER:BOOL=ON' build/CMakeCache.txt
}

install "${build_packages[@]}"
# Also a second time: packages that have come since make more commands.
if is_configured; then
  configure build
else
  configure build --fresh -DBQENGINE_DEVELOPER=OFF
fi
build build

say "Running"
exec build/bin/bq-run tests/data/models/lenet-xnor-mnist.json \
  --dataset mnist:tests/data/mnist-500 --show 5 "$@"
