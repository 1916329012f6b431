#!/usr/bin/env bash
# Times the layers of bq-bench-peers also in ONNX Runtime (fp32, int8), OpenVINO
# (fp32, int8, binary) and Larq Compute Engine (binary), one thread, and prints
# one table. Installs them from PyPI into virtual environments in the build
# folder (about 2 GB with TensorFlow, which Larq needs); what does not install is
# left out.
#
#   bench/peers/python_peers.sh [--build FOLDER] [--json FILE] [SHAPES...]
#
# FOLDER: where bq-bench-peers was built (build). SHAPES: files of layers
# (bench/shapes/resnet18.txt).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=build json='' shapes=()
while [ $# -gt 0 ]; do
  case "$1" in
    --build) build=${2:?--build needs a folder}; shift 2 ;;
    --json) json=${2:?--json needs a file}; shift 2 ;;
    -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    -*) echo "python_peers.sh: unknown option $1 (try --help)" >&2; exit 2 ;;
    *) shapes+=("$1"); shift ;;
  esac
done
[ ${#shapes[@]} -gt 0 ] || shapes=("$here/../shapes/resnet18.txt")
if [ ! -x "$build/bin/bq-bench-peers" ]; then
  echo "python_peers.sh: $build/bin/bq-bench-peers is not built" >&2
  exit 2
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { echo "python_peers.sh: $*" >&2; }

# peer NAME SCRIPT PACKAGE... : times the layers, and adds to `results`.
results=()
peer() {
  local name=$1 script=$2 venv
  shift 2
  venv=$build/peers-venv-$name
  if [ ! -e "$venv/installed" ]; then
    say "installing $*"
    if ! { python3 -m venv "$venv" &&
      "$venv/bin/pip" install --quiet --disable-pip-version-check "$@"; } \
      >"$work/$name.log" 2>&1; then
      say "$name: skipped, it does not install: $(tail -n 1 "$work/$name.log")"
      return
    fi
    touch "$venv/installed"
  fi
  if "$venv/bin/python" "$here/python/$script" "$work/ours.json" \
    "$work/$name.json" 2>"$work/$name.log"; then
    results+=("$name=$work/$name.json")
  else
    say "$name: skipped, it does not run: $(tail -n 1 "$work/$name.log")"
  fi
}

"$build/bin/bq-bench-peers" --threads 1 --shapes "${shapes[@]}" \
  --json "$work/ours.json" >/dev/null
peer onnxruntime onnxruntime_peer.py onnxruntime onnx numpy
peer openvino openvino_peer.py openvino onnx numpy
# The release of TensorFlow that this wheel was built with.
peer larq larq_peer.py larq-compute-engine==0.16.0 larq tensorflow-cpu==2.15.1
python3 "$here/python/table.py" "$work/ours.json" "$json" "${results[@]}"
