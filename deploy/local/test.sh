#!/usr/bin/env bash
# All tests, over a RabbitMQ and a Redis of their own. Arguments go to `cargo test`.
#
# Ends with cargo's own closing lines and with its exit status; the servers are stopped before that.

. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
. "$scripts/processes.sh"
. "$scripts/programs.sh"

# What the user has set for a running system must not steer the tests.
unset SUBWATCH_URL SUBWATCH_REDIS_KEY_PREFIX SUBWATCH_DATASET_ROOTS SUBWATCH_CONFIG

# shellcheck disable=SC2317 # reached through run_foreground
run_tests() {
    cargo test --release --workspace --no-fail-fast "$@" 2>&1 | tee "$logs/tests.log"
    return "${PIPESTATUS[0]}"
}

# shellcheck disable=SC2317 # reached through clean_up
print_closing_lines() {
    heading "cargo's closing lines"
    grep -E '^(\S*\s+(Running|Doc-tests) |test result: |error: )|^    `-p ' "$logs/tests.log" || tail -n 20 "$logs/tests.log"
}

use_instance test
lock "$home/test.lock" "make test"
started='' tested='' status=0
# shellcheck disable=SC2317
clean_up() {
    [[ -z $started ]] || "$scripts/services.sh" stop test
    [[ -z $tested ]] || print_closing_lines
}
leave_cleanly

"$scripts/setup.sh"
# What checks the manifests; without it those tests say aloud what they skip.
"$scripts/debian13.sh" unpack kustomize docker-compose || say "the manifests are not checked without these programs"
heading "building"
build
heading "starting RabbitMQ and Redis for the tests"
started=yes
"$scripts/services.sh" start test --fresh
# shellcheck source=/dev/null
. "$home/services.env"
unset SUBWATCH_URL
heading "testing"
run_foreground run_tests "$@" || status=$?
tested=yes
exit "$status"
