# Sourced by the scripts beside it: what to install from Debian, and how.
# shellcheck shell=bash

build_packages=(g++ cmake ninja-build libhwy-dev libtbb-dev nlohmann-json3-dev
  libboost-dev libcli11-dev libfmt-dev libstb-dev zlib1g-dev libonnx-dev libprotobuf-dev
  protobuf-compiler)
test_packages=(libgtest-dev libbenchmark-dev binutils python3
  python3-jsonschema python3-numpy)
# What bench/peers.sh compares with; no test needs it.
bench_packages=(libdnnl-dev libxnnpack-dev libpthreadpool-dev python3-venv)
# What bq-train is built of: LibTorch, 600 MB with all that comes along, and
# OpenBLAS in place of the plain BLAS that would. Without it bq-train is left out.
torch_packages=(libtorch-dev libopenblas0-pthread)
# What bench/train/run.sh trains with, and on.
train_packages=("${torch_packages[@]}" dataset-fashion-mnist python3)
clang_packages=(clang-14)
aarch64_packages=(g++-aarch64-linux-gnu qemu-user-static libhwy-dev:arm64
  libtbb-dev:arm64 libfmt-dev:arm64 zlib1g-dev:arm64
  libgtest-dev:arm64 libbenchmark-dev:arm64)

# What scripts do goes to standard error: standard output is for results.
say() { echo "== $*" >&2; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# install PACKAGE... : installs those that are missing, and says which. Where
# there is no Debian it says what is expected, and CMake finds out.
install() {
  local missing=("$@") package
  if command -v dpkg-query >/dev/null; then
    missing=()
    for package in "$@"; do
      dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null |
        grep -qx installed || missing+=("$package")
    done
    if [ ${#missing[@]} = 0 ]; then return; fi
  fi
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    say "No Debian packages here; needed is what these hold: ${missing[*]}"
    return
  fi
  say "Installing Debian packages: ${missing[*]}"
  # A package list may be absent or older than what the mirror still has.
  as_root apt-get -qq update
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y \
    --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}" >/dev/null
}
