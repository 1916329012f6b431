#!/usr/bin/env bash
# Makes the tables of bench/train/README.md: installs what is missing, builds in
# build/train, trains every network, measures it, and writes results.json,
# errors.svg and README.md. Takes hours; what is interrupted goes on when called again.
#
#   bench/train/run.sh SHARED_DIR [OUT_DIR] [--quick] [OPTION...]
#
# SHARED_DIR: a folder with data/mnist. OUT_DIR: models, logs, results
# (build/train/networks). --quick: some minutes, and only prints the tables; so do
# all options, which are those of measure.py (--only, --seeds, --jobs,
# --no-training).
set -euo pipefail
if [ $# = 0 ] || [[ $1 == -* ]]; then
  sed -n '2,/^set/{s/^# \{0,1\}//;/^set/!p}' "$0"
  exit 2
fi
shared=$(realpath "$1")
shift
out=build/train/networks
if [ $# -gt 0 ] && [[ $1 != -* ]]; then
  out=$(realpath -m "$1")
  shift
fi
cd "$(dirname "$0")/../.."
source tools/build.sh

install "${build_packages[@]}" "${train_packages[@]}"
configure build/train -DBQENGINE_DEVELOPER=OFF -DCMAKE_CXX_COMPILER=g++
build build/train bq-train bq-run

python3 bench/train/measure.py --bin build/train/bin \
  --mnist "$shared/data/mnist" --out "$out" "$@"
if [ $# = 0 ]; then
  cp "$out/results.json" bench/train/results.json
  python3 bench/train/render.py
fi
