# shellcheck shell=bash disable=SC2034
# What the scripts of this folder share: where things lie, how they speak, how they leave.
#
# Sourced, never run. Every script works from the project's root folder, whatever folder it was called from.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
scripts=$root/deploy/local
state=$root/.local
# The version of libtorch that the crate `tch` requires, as pip calls it.
torch=torch==2.11.0
# The machine's own: of Python, everything but the tests needs the standard library alone.
python=/usr/bin/python3
[[ -x $python ]] || python=python3
# Test programs in Python and what they import; see `setup.sh tests`.
test_venv=$state/test-venv

# A shell that was open while Rust was installed does not know it yet.
command -v cargo >/dev/null || PATH=$PATH:${CARGO_HOME:-${HOME:-}/.cargo}/bin

say() { printf '%s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

heading() {
    local bold='' plain=''
    if [[ -t 2 && -z ${NO_COLOR:-} ]]; then bold=$'\e[1m' plain=$'\e[0m'; fi
    printf '\n%s== %s%s\n' "$bold" "$*" "$plain" >&2
}

# Points the script at one set of servers and processes: `up`, `demo`, `test` or `next`.
use_instance() {
    [[ $1 =~ ^[a-z]+$ ]] || fail "'$1' is not the name of an instance: it must be a lower-case word such as 'up'"
    instance=$1
    home=$state/$instance
    logs=$home/logs
    pids=$home/run
    mkdir -p "$logs" "$pids"
}

# Takes the lock file $1 for the life of this script; $2 says what holds it meanwhile. With a third
# argument it waits for its turn so many seconds. Descriptor 9 holds the lock, so what is left running
# must be started with 9 closed.
lock() {
    mkdir -p "$(dirname "$1")"
    exec 9>"$1"
    flock --wait "${3:-0}" 9 || fail "another '$2' is at work in this folder: wait for it or stop it first"
}

# Calls `clean_up` once, however the script ends, and with signals held off so that an impatient second
# Ctrl-C leaves nothing behind.
leave_cleanly() {
    trap 'status=$?; trap "" INT TERM HUP; trap - EXIT; end_foreground; clean_up "$status"; exit "$status"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
}

# Runs a long command in a process group of its own and waits for it: a signal to the script is then
# acted on at once and reaches the command's children too. Returns the command's status.
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

# Ends what `run_foreground` left when a signal cut it short.
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
