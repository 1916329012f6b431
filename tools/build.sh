# Sourced by the scripts beside it: how to configure and build a folder.
# shellcheck shell=bash
source tools/packages.sh

# configure FOLDER OPTION... : the log is in FOLDER/configure.log.
configure() {
  local folder=$1
  shift
  say "Configuring $folder"
  mkdir -p "$folder"
  cmake -S . -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release "$@" \
    >"$folder/configure.log" 2>&1 ||
    { cat "$folder/configure.log" >&2; return 1; }
  grep 'is not built' "$folder/configure.log" >&2 || true
}

# Compiling our largest source takes about 1 GB.
jobs() {
  local cores memory_gb
  cores=$(nproc)
  memory_gb=$(awk '/MemAvailable/ {print int($2 / 1048576)}' /proc/meminfo)
  [ "$memory_gb" -ge 1 ] || memory_gb=1
  echo $((cores < memory_gb ? cores : memory_gb))
}

# build FOLDER [TARGET...] : on a terminal with ninja's status line; elsewhere
# with a line for each tenth step, and all that compilers say.
build() {
  local folder=$1 steps
  shift
  steps=$(ninja -C "$folder" -n "$@" | grep -c '^\[' || true)
  if [ "$steps" -gt 20 ]; then
    say "Building in $folder: $steps steps, some minutes"
  elif [ "$steps" -gt 0 ]; then
    say "Building in $folder"
  fi
  if [ -t 2 ]; then
    ninja -C "$folder" -j "$(jobs)" "$@" >&2
  else
    NINJA_STATUS='[%f/%t] ' ninja -C "$folder" -j "$(jobs)" "$@" | awk '
      /^ninja: (Entering directory|no work to do)/ { next }
      /^\[[0-9]+\/[0-9]+\] / {
        split(substr($1, 2), step, "/")
        if (step[1] % 10 != 0 && step[1] != step[2] + 0) next
      }
      { print; fflush() }' >&2
  fi
}
