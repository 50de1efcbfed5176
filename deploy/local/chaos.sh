#!/usr/bin/env bash
# The chaos suite at length: seeded schedules of disturbances, rolling restarts, forced reconnects.
#
#   SCHEDULES=30 chaos.sh          thirty schedules from a seed that is printed
#   SEED=7 chaos.sh                the schedule of seed 7 again; with SCHEDULES, those from 7 on
#   RECONNECTS=1000 ROLLS=20       how many connections are cut, and how often all workers are restarted
#
# Runs what `make test` runs in short; the servers that are killed are the suite's own. The logs of a
# schedule that fails stay in .local/chaos.

. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

faketime=$state/faketime

# Sets the variable $1 to $2, which must be a number, unless it is empty.
ask() {
    [[ -n $2 ]] || return 0
    [[ $2 =~ ^[0-9]+$ ]] || fail "$1 is '$2': it must be a number"
    export "SUBWATCH_CHAOS_$1=$2"
}

# The library behind the skewed clocks, for this project alone; without it they are skipped aloud.
fetch_faketime() {
    [[ ! -d $faketime ]] || return 0
    command -v apt-get >/dev/null || return 0
    local folder
    folder=$(mktemp -d)
    if (cd "$folder" && apt-get -q download libfaketime >&2); then
        dpkg -x "$folder"/libfaketime_*.deb "$faketime"
    else
        say "libfaketime could not be fetched, so no clock is skewed"
    fi
    rm -rf "$folder"
}

if [[ -n ${SEED:-} ]]; then SCHEDULES=${SCHEDULES:-1}; else SEED=$((RANDOM * 32768 + RANDOM)); fi
SCHEDULES=${SCHEDULES:-10}
ask SEED "$SEED"
ask SCHEDULES "$SCHEDULES"
ask RECONNECTS "${RECONNECTS:-}"
ask ROLLS "${ROLLS:-}"
fetch_faketime
say "chaos: $SCHEDULES schedules from SEED=$SEED"
exec "$scripts/test.sh" --test chaos -- --nocapture
