#!/usr/bin/env bash
# Compares binary layers with other engines' on this machine: installs oneDNN and
# XNNPACK, builds bq-bench-peers in build/check, runs it, and times its layers of
# one thread also in ONNX Runtime, OpenVINO and Larq Compute Engine, from PyPI
# (bench/peers/python_peers.sh). First everyone proves its answers.
#
#   bench/peers.sh [--no-python] [--readme] [--json FILE] [OPTION...]
#
# --no-python: without the engines from PyPI. --readme: puts what is printed into
# bench/README.md, and the picture into bench/peers.svg. FILE: all results. The
# options are those of bq-bench-peers; --help shows them.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/build.sh

python=yes readme=no json='' options=()
while [ $# -gt 0 ]; do
  case "$1" in
    --no-python) python=no; shift ;;
    --readme) readme=yes; options+=(--plot bench/peers.svg); shift ;;
    --json) json=${2:?--json needs a file}; shift 2 ;;
    -h | --help) python=no; options+=(--help)
      sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0"; shift ;;
    *) options+=("$1"); shift ;;
  esac
done

install "${build_packages[@]}" "${test_packages[@]}" "${bench_packages[@]}"
configure build/check -DBQENGINE_DEVELOPER=ON
build build/check bq-bench-peers

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
compare() {
  echo "$(date -u +%F), load $(cut -d' ' -f1 /proc/loadavg) on $(nproc) cores"
  build/check/bin/bq-bench-peers --json "$work/ours.json" "${options[@]}"
  if [ "$python" = yes ]; then
    echo
    bench/peers/python_peers.sh "$work/ours.json" --build build/check \
      --json "$work/all.json"
  fi
}
compare | tee "$work/printed.md"
if [ -n "$json" ]; then
  if [ "$python" = yes ]; then cp "$work/all.json" "$json"
  else cp "$work/ours.json" "$json"; fi
fi
if [ "$readme" = yes ]; then
  awk -v printed="$work/printed.md" '
    /^<!-- peers: end -->/ { inside = 0 }
    !inside { print }
    /^<!-- peers: begin/ {
      inside = 1
      print ""
      while ((getline line < printed) > 0) print line
      print ""
    }' bench/README.md >"$work/README.md"
  cp "$work/README.md" bench/README.md
fi
