#!/usr/bin/env bash
# The chaos tests in full length: seeded schedules of disturbances, rolling restarts, forced reconnects. `make test`
# runs a short version. They kill only their own servers.
#
#   SCHEDULES=30 chaos.sh          runs 30 schedules (default 10) from a random seed, which is printed
#   SEED=7 chaos.sh                repeats the schedule of seed 7; with SCHEDULES, the schedules from 7 on
#   RECONNECTS=1000 ROLLS=20       number of connections to cut, and of rolling restarts of all workers
#
# The logs of a failed schedule are kept in .local/chaos.

. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

faketime=$state/faketime

# Exports SUBWATCH_CHAOS_$1 as the number $2, unless that is empty.
export_option() {
    [[ -n $2 ]] || return 0
    [[ $2 =~ ^[0-9]+$ ]] || fail "$1 is '$2': it must be a number"
    export "SUBWATCH_CHAOS_$1=$2"
}

# Downloads libfaketime, which skews clocks, into .local. Without it, the tests skip clock skew and say so.
fetch_faketime() {
    [[ ! -d $faketime ]] || return 0
    command -v apt-get >/dev/null || return 0
    local folder
    folder=$(mktemp -d)
    if (cd "$folder" && apt-get -q download libfaketime >&2); then
        dpkg -x "$folder"/libfaketime_*.deb "$faketime"
    else
        say "cannot download libfaketime: clock skew is skipped"
    fi
    rm -rf "$folder"
}

if [[ -n ${SEED:-} ]]; then SCHEDULES=${SCHEDULES:-1}; else SEED=$((RANDOM * 32768 + RANDOM)); fi
SCHEDULES=${SCHEDULES:-10}
export_option SEED "$SEED"
export_option SCHEDULES "$SCHEDULES"
export_option RECONNECTS "${RECONNECTS:-}"
export_option ROLLS "${ROLLS:-}"
fetch_faketime
say "chaos: SCHEDULES=$SCHEDULES, the first from SEED=$SEED"
exec "$scripts/test.sh" --test chaos -- --nocapture
