# shellcheck shell=bash disable=SC2034
# Shared by the scripts in this folder: paths, messages, locks, cleanup. Sourced, never run. Every script works in the
# repository root.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
scripts=$root/deploy/local
state=$root/.local
# pip requirement of the libtorch version that the crate `tch` needs.
torch=torch==2.11.0
# The system's Python: everything but the tests needs only its standard library.
python=/usr/bin/python3
[[ -x $python ]] || python=python3
# Virtual environment of the tests; see `setup.sh tests`.
test_venv=$state/test-venv

# Shells that were open when Rust was installed do not have it on the PATH.
command -v cargo >/dev/null || PATH=$PATH:${CARGO_HOME:-${HOME:-}/.cargo}/bin

say() { printf '%s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

heading() {
    local bold='' plain=''
    if [[ -t 2 && -z ${NO_COLOR:-} ]]; then bold=$'\e[1m' plain=$'\e[0m'; fi
    printf '\n%s== %s%s\n' "$bold" "$*" "$plain" >&2
}

# Selects a set of servers and processes: `up`, `demo`, `test`, `next` or `scale`.
use_instance() {
    [[ $1 =~ ^[a-z]+$ ]] || fail "'$1' is not an instance name: it must be a lower-case word such as 'up'"
    instance=$1
    home=$state/$instance
    logs=$home/logs
    pids=$home/run
    mkdir -p "$logs" "$pids"
}

# lock FILE COMMAND [SECONDS]: locks FILE until the script ends, waiting for up to SECONDS; errors name COMMAND. The
# lock is on descriptor 9, so background processes must be started with 9 closed.
lock() {
    mkdir -p "$(dirname "$1")"
    exec 9>"$1"
    flock --wait "${3:-0}" 9 || fail "another '$2' is running in this folder: wait for it or stop it first"
}

# Calls `clean_up` once when the script ends, with signals ignored so that a second Ctrl-C does not interrupt it.
trap_exit() {
    trap 'status=$?; trap "" INT TERM HUP; trap - EXIT; end_foreground; clean_up "$status"; exit "$status"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
}

# Runs a long command in a new process group and waits for it, so that the script handles signals immediately and can
# end the command with its children. Returns the command's status.
foreground=
run_foreground() {
    local status=0
    set -m
    "$@" </dev/null 9>&- &
    foreground=$!
    set +m
    wait "$foreground" || status=$?
    foreground=
    return "$status"
}

# Ends the process group of an interrupted `run_foreground`.
end_foreground() {
    [[ -n $foreground ]] || return 0
    local group=$foreground
    foreground=
    kill -TERM -- "-$group" 2>/dev/null || return 0
    for ((i = 0; i < 50; i++)); do
        kill -0 -- "-$group" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -KILL -- "-$group" 2>/dev/null || true
}
