#!/usr/bin/env bash
# Prints the table of real networks in README.md: converts each golden network,
# runs it over its whole test set one image at a time, and times it.
#
#   bench/networks.sh SHARED [BIN]
#
# SHARED: a folder with golden/ and data/ (see tests/README.md). BIN: where
# bq-convert and bq-run are (build/bin). Arguments after these go to bq-run.
set -euo pipefail
if [ $# = 0 ]; then
  echo 'usage: bench/networks.sh SHARED [BIN] [bq-run option...]' >&2
  exit 2
fi
shared=$1
bin=${2:-build/bin}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# get KEY FILE: one value of bq-run's JSON.
get() {
  python3 -c 'import functools, json, sys
value = functools.reduce(lambda v, k: v[k], sys.argv[1].split("."),
                         json.load(open(sys.argv[2])))
print(value if isinstance(value, str) else f"{value:g}")' "$1" "$2"
}

row() {
  local name=$1 dataset=$2
  shift 2
  local onnx=$shared/golden/$name/model.onnx
  "$bin/bq-convert" "$onnx" -o "$work/$name.json" --scale 1/255 "${@}" >/dev/null
  "$bin/bq-run" "$work/$name.json" --dataset "$dataset" --json \
    "${run_options[@]}" >"$work/result"
  local bytes
  bytes=$(cat "$work/$name".{json,safetensors} | wc -c)
  printf '| %s | %d kB | %d kB | %s of %s | %.1f µs |\n' "$name" \
    "$(($(stat -c %s "$onnx") / 1000))" "$((bytes / 1000))" \
    "$(get correct "$work/result")" "$(get count "$work/result")" \
    "$(get latency_us.median "$work/result")"
}

run_options=("${@:3}")
mnist=mnist:$shared/data/mnist
echo '| network | ONNX | bqengine | right | median |'
echo '| --- | --- | --- | --- | --- |'
row lenet_xnor-mnist "$mnist" --mean 0.5 --std 0.5
row mlp_binaryconnect-mnist "$mnist" --mean 0.5 --std 0.5
row bwn_cnn-mnist "$mnist" --mean 0.5 --std 0.5
row qonnx-tfc-1w1a-mnist "$mnist"
row bnnpynq-lfc-w1a1-mnist "$mnist"
row bnnpynq-cnv-w1a1-cifar10 \
  "cifar10:$shared/data/cifar10/test_1000_lossless.bin"
echo
echo "$(get backend "$work/result"), threads: $(get threads "$work/result")," \
  "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)"
