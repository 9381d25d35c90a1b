# SPDX-License-Identifier: GPL-3.0-or-later
# What deploy/rehearse and deploy/test share: packages, builds, and children that end with us.
# Sourced, not run. Sets `root`, the clone's folder; wants `set -euo pipefail` of its caller.
# shellcheck shell=bash

# A script's `rehearse &` begins with SIGINT ignored, which bash cannot undo: begin again without.
if [[ -n $(trap -p INT) ]]; then exec env --default-signal=INT "$BASH" "$0" "$@"; fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
me=$(basename "$0")
child=""  # process group of the step that runs now

say() { printf '%s: %s\n' "$me" "$*" >&2; }

die() {
  local status=$1
  shift
  say "$*"
  exit "$status"
}

# packages FILE...: the names, one a line.
packages() { sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$@" | sort -u; }

missing_packages() {
  local name
  packages "$@" | while read -r name; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) == installed ]] || echo "$name"
  done
}

# ensure_packages FILE...: installs what is missing. No root, no network when nothing is.
ensure_packages() {
  if ! command -v dpkg-query >/dev/null; then
    say "not a Debian system: assuming that what deploy/packages-*.txt names is there"
    return
  fi
  local missing=() apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300)
  mapfile -t missing < <(missing_packages "$@")
  [[ ${#missing[@]} -gt 0 ]] || return 0
  if [[ $EUID -ne 0 ]]; then
    if ! sudo -n true 2>/dev/null; then
      say "packages are missing, and there is neither root nor a sudo that does not ask; please run"
      echo "sudo apt-get install -y --no-install-recommends ${missing[*]}"
      exit 3
    fi
    apt=(sudo -n "${apt[@]}")
  fi
  say "installing ${#missing[@]} packages: ${missing[*]}"
  local log
  log=$(mktemp)
  if ! { "${apt[@]}" update && "${apt[@]}" install --no-install-recommends "${missing[@]}"; } \
    >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    die 3 "apt-get could not install: ${missing[*]}"
  fi
  rm -f "$log"
}

# Children run in process groups of their own, so that one signal reaches all of a build or a
# pipeline, and in the background, so that a signal to us is answered at once.
# start COMMAND...: its process group is then in `child`.
start() {
  setsid "$@" &
  child=$!
}

# run COMMAND...: start, wait, its status.
run() {
  start "$@"
  local status=0
  wait "$child" || status=$?
  child=""
  return "$status"
}

# end_group PID: TERM, at most three seconds of patience, then KILL. Harmless when it is gone.
end_group() {
  local pid=$1 tries=30
  [[ -n $pid ]] || return 0
  kill -TERM -- "-$pid" 2>/dev/null || kill -TERM "$pid" 2>/dev/null || return 0
  while ((tries-- > 0)) && kill -0 -- "-$pid" 2>/dev/null; do sleep 0.1; done
  kill -KILL -- "-$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
}

# Compilers of this size need about 1.5 GB each under sanitizers: fewer jobs than cores if need be.
build_jobs() {
  local cores gigabytes
  cores=$(nproc)
  gigabytes=$(awk '/^MemAvailable/ {print int($2 / 1572864)}' /proc/meminfo)
  ((gigabytes >= 1)) || gigabytes=1
  echo $((cores < gigabytes ? cores : gigabytes))
}

# build PRESET [TARGET...]: from the clone's folder; quiet; the log is kept, its end shown when it fails.
build() {
  local preset=$1 log="$root/build/$1.log" targets=()
  shift
  [[ $# -eq 0 ]] || targets=(--target "$@")
  mkdir -p "$root/build"
  say "building $preset (log: $log)"
  if ! run cmake --preset "$preset" >"$log" 2>&1 </dev/null ||
    ! run cmake --build --preset "$preset" --parallel "$(build_jobs)" "${targets[@]}" \
      >>"$log" 2>&1 </dev/null; then
    grep -nE 'error|FAILED' "$log" | head -n 20 >&2 || true
    tail -n 20 "$log" >&2
    die 1 "building $preset failed; all of it: $log"
  fi
}
