#!/usr/bin/env bash
# Times the layers of a run of bq-bench-peers also in ONNX Runtime (fp32, int8),
# OpenVINO (fp32, int8, binary) and Larq Compute Engine (binary), one thread, and
# prints one table. Who gives another answer than the layer's is not timed.
# Installs the engines from PyPI into virtual environments in the build folder
# (about 2 GB with TensorFlow, which Larq needs); what does not install is left
# out.
#
#   bench/peers/python_peers.sh OURS.json [--build FOLDER] [--json FILE]
#
# OURS.json: what bq-bench-peers --json wrote. FOLDER: for the environments
# (build). FILE: where to write all results.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=build json='' ours=''
while [ $# -gt 0 ]; do
  case "$1" in
    --build) build=${2:?--build needs a folder}; shift 2 ;;
    --json) json=${2:?--json needs a file}; shift 2 ;;
    -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    -*) echo "python_peers.sh: unknown option $1 (try --help)" >&2; exit 2 ;;
    *) ours=$1; shift ;;
  esac
done
if [ ! -r "$ours" ]; then
  echo "python_peers.sh: no results of bq-bench-peers (try --help)" >&2
  exit 2
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# What NumPy verifies with is to have no threads whose waiting would count.
export OPENBLAS_NUM_THREADS=1

say() { echo "python_peers.sh: $*" >&2; }

# peer NAME SCRIPT PACKAGE... : times the layers, and adds to `results`.
results=()
peer() {
  local name=$1 script=$2 venv
  shift 2
  venv=$build/peers-venv-$name
  if ! grep -qsxF "$*" "$venv/installed"; then
    say "installing $*"
    if ! { python3 -m venv --clear "$venv" &&
      "$venv/bin/pip" install --quiet --disable-pip-version-check "$@"; } \
      >"$work/$name.log" 2>&1; then
      say "$name: skipped, it does not install: $(tail -n 1 "$work/$name.log")"
      return
    fi
    echo "$*" >"$venv/installed"
  fi
  if "$venv/bin/python" "$here/python/$script" "$ours" \
    "$work/$name.json" 2>"$work/$name.log"; then
    results+=("$name=$work/$name.json")
  else
    say "$name: skipped, it does not run: $(tail -n 1 "$work/$name.log")"
  fi
}

peer onnxruntime onnxruntime_peer.py onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
peer openvino openvino_peer.py openvino==2026.4.1 onnx==1.23.2 numpy==2.4.6
# The release of TensorFlow that this wheel was built with.
peer larq larq_peer.py larq-compute-engine==0.16.0 larq==0.14.0 \
  tensorflow-cpu==2.15.1
python3 "$here/python/table.py" "$ours" "$json" "${results[@]}"
