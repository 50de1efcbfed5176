#!/usr/bin/env bash
# Runs the tests with a private RabbitMQ and Redis. Arguments are passed to `cargo test`.
#
#   test.sh                              all tests, with the machine's versions of RabbitMQ and Redis
#   SUBWATCH_SERVERS=debian13 test.sh    the integration tests, with RabbitMQ 4.0 and Redis 8.0
#
# Stops the servers, prints cargo's summary lines, and exits with cargo's status.

. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
. "$scripts/processes.sh"
. "$scripts/programs.sh"

# The user's settings must not affect the tests.
unset SUBWATCH_URL SUBWATCH_REDIS_KEY_PREFIX SUBWATCH_DATASET_ROOTS SUBWATCH_CONFIG SUBWATCH_TOKENS_FILE \
    SUBWATCH_TOKEN SUBWATCH_TOKEN_FILE SUBWATCH_AMQP_CA_FILE SUBWATCH_REDIS_CA_FILE

# shellcheck disable=SC2317 # reached through run_foreground
run_tests() {
    cargo test --release "${tests[@]}" --no-fail-fast "$@" 2>&1 | tee "$logs/tests.log"
    return "${PIPESTATUS[0]}"
}

# shellcheck disable=SC2317 # reached through clean_up
print_summary() {
    heading "cargo's summary"
    grep -E '^(\S*\s+(Running|Doc-tests) |test result: |error: )|^    `-p ' "$logs/tests.log" || tail -n 20 "$logs/tests.log"
}

# Fails unless the servers have the requested versions.
require_versions() {
    local rabbitmq redis
    rabbitmq=$(curl --noproxy '*' -fs -m 5 "$SUBWATCH_TEST_MANAGEMENT_URL/api/overview" |
        sed -nE 's/.*"rabbitmq_version":"([^"]*)".*/\1/p')
    redis=$(redis-cli -u "$SUBWATCH_TEST_REDIS_URL" info server | sed -nE 's/^redis_version:([0-9.]*).*/\1/p')
    say "RabbitMQ $rabbitmq, Redis $redis"
    [[ ${SUBWATCH_SERVERS:-} != debian13 || "$rabbitmq $redis" == 4.0.*' '8.0.* ]] ||
        fail "expected RabbitMQ 4.0 and Redis 8.0"
}

tests=(--workspace)
instance='test'
if [[ -n ${SUBWATCH_SERVERS:-} ]]; then
    tests=(--workspace --test integration --test chaos)
    instance='next'
fi
use_instance "$instance"
lock "$home/test.lock" "make test"
started='' tested='' status=0
# shellcheck disable=SC2317
clean_up() {
    [[ -z $started ]] || "$scripts/services.sh" stop "$instance"
    [[ -z $tested ]] || print_summary
}
trap_exit

"$scripts/setup.sh" tests
# These programs check the manifests; without them, those tests are skipped with a message.
"$scripts/debian13.sh" unpack kustomize docker-compose || say "the manifests will not be checked"
heading "building"
# Build programs and tests together: separately, their dependencies would be built twice with different features.
run_foreground cargo build --release --workspace --all-targets
heading "starting RabbitMQ and Redis for the tests"
started=yes
"$scripts/services.sh" start "$instance" --fresh
# shellcheck source=/dev/null
. "$home/services.env"
unset SUBWATCH_URL
require_versions
heading "testing"
run_foreground run_tests "$@" || status=$?
tested=yes
exit "$status"
