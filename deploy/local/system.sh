#!/usr/bin/env bash
# A complete system on this machine: private servers, a coordinator and workers.
#
#   WORKERS=2 THREADS=1 system.sh up    starts or restarts it; data is kept
#   system.sh down
#
# SUBWATCH_AMQP_URL and SUBWATCH_REDIS_URL replace the private servers. The coordinator and the workers inherit all
# other SUBWATCH_… variables.

. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
. "$scripts/processes.sh"
. "$scripts/programs.sh"

up() {
    read_options
    export SUBWATCH_URL=${SUBWATCH_URL:-http://127.0.0.1:8470}
    "$scripts/setup.sh"
    build
    starting=yes
    list_programs
    ((${#programs[@]} == 0)) || say "stopping the running coordinator and workers"
    stop_programs
    "$scripts/services.sh" start up
    # shellcheck source=/dev/null
    . "$home/services.env"
    start_programs "$workers" || exit 1
    starting=
    say "
subwatch is up at $SUBWATCH_URL (workers: $workers); logs are in .local/up/logs. Next:"
    [[ $SUBWATCH_URL == http://127.0.0.1:8470 ]] || say "    export SUBWATCH_URL=$SUBWATCH_URL"
    say "    target/release/subwatch status
    target/release/subwatch dataset sample sample --count 600 --seed 0
    target/release/subwatch embed sample
    make down"
}

down() {
    list_programs
    local name running=0
    for name in "${programs[@]}"; do if runs "$name"; then running=$((running + 1)); fi; done
    stop_programs
    ((running == 0)) || say "stopped the coordinator and the workers (processes: $running)"
    "$scripts/services.sh" stop up
}

[[ ${1:-} =~ ^(up|down)$ && $# == 1 ]] || fail "usage: system.sh up|down"
use_instance up
lock "$home/system.lock" "make up' or 'make down" 5
starting=
clean_up() {
    [[ -n $starting ]] || return 0
    stop_programs
    "$scripts/services.sh" stop up
}
trap_exit
"$1"
