#!/usr/bin/env bash
# Sets up and runs the main job: installs what is missing, builds into build/,
# and classifies the 500 MNIST test images that ship here with the network that
# ships here. Arguments go to bq-run (--threads 2, --backend cpu:avx2, --json).
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/packages.sh

install "${build_packages[@]}"
if [ ! -f build/build.ninja ]; then
  echo "== Configuring build/"
  cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release >build-configure.log 2>&1 ||
    { cat build-configure.log; exit 1; }
  mv build-configure.log build/configure.log
fi
echo "== Building (a first build takes some minutes)"
ninja -C build -j "$(jobs)" --quiet

echo "== Running"
exec build/bin/bq-run tests/data/models/lenet-xnor-mnist.json \
  --dataset mnist:tests/data/mnist-500 --show 5 "$@"
