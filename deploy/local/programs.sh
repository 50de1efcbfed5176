# shellcheck shell=bash disable=SC2154
# The coordinator and the workers of an instance. Sourced after environment.sh, processes.sh and `use_instance`.

# Reads and checks WORKERS and THREADS.
read_options() {
    workers=${WORKERS:-1}
    [[ $workers =~ ^[1-9][0-9]*$ ]] || fail "WORKERS is '$workers': it must be a positive integer"
    [[ -n ${THREADS:-} ]] || return 0
    [[ $THREADS =~ ^[1-9][0-9]*$ ]] || fail "THREADS is '$THREADS': it must be a positive integer"
    export SUBWATCH_MODEL_THREADS=$THREADS
}

# Builds the coordinator and the worker, and the packages in the arguments.
build() { run_foreground "$scripts/build.sh" "$@"; }

# Sets `programs` to the names of the programs that were started and not stopped.
list_programs() {
    local file
    programs=()
    for file in "$pids"/worker-*.pid "$pids"/coordinator.pid; do
        [[ ! -e $file ]] || programs+=("$(basename "$file" .pid)")
    done
}

# Five seconds more than the grace period, for workers to release unfinished jobs and deregister.
stop_programs() {
    list_programs
    ((${#programs[@]} == 0)) || stop_processes $((${SUBWATCH_SHUTDOWN_GRACE_SECONDS:-30} + 5)) "${programs[@]}"
}

# Starts the coordinator and $1 workers with the settings in the environment, and waits until all are ready. If one
# exits, prints its log and fails.
start_programs() {
    local count=$1 number
    export SUBWATCH_URL=${SUBWATCH_URL%/} SUBWATCH_DATASET_ROOTS=${SUBWATCH_DATASET_ROOTS:-$root}
    export SUBWATCH_LOG_FORMAT=${SUBWATCH_LOG_FORMAT:-human}
    # Check first: another server's response must not be taken for that of the new coordinator.
    ! fetch "" >/dev/null || fail "$SUBWATCH_URL is in use by another program: stop it or set SUBWATCH_URL"
    start_process coordinator target/release/subwatch serve
    for ((number = 1; number <= count; number++)); do
        start_process "worker-$number" target/release/subwatch-worker
    done
    await_programs "$count"
}

# Prints the Authorization header, if an access token is set.
token_header() {
    local token=${SUBWATCH_TOKEN:-}
    if [[ -z $token && -r ${SUBWATCH_TOKEN_FILE:-} ]]; then token=$(<"$SUBWATCH_TOKEN_FILE"); fi
    [[ -z $token ]] || printf 'Authorization: Bearer %s\n' "$token"
}

# Prints the coordinator's response to path $1; fails without a response. The token is not passed as an argument, since
# other users of the machine can see arguments.
fetch() { curl --noproxy '*' -s -m 5 -H @<(token_header) "$SUBWATCH_URL$1" 2>/dev/null; }

await_programs() {
    local count=$1 limit=${UP_SECONDS:-900} deadline notice=$((SECONDS + 10)) name live
    deadline=$((SECONDS + limit))
    list_programs
    while true; do
        live=$(live_workers)
        for name in "${programs[@]}"; do
            runs "$name" || { show_log "$name" && say "$name exited during start-up" && return 1; }
        done
        if ((live == count)); then return 0; fi
        if ((SECONDS >= deadline)); then
            for name in "${programs[@]}"; do show_log "$name" 5; done
            say "only $live of $count workers are ready after $limit s"
            return 1
        fi
        if ((SECONDS >= notice)); then
            notice=$((SECONDS + 10))
            say "waiting: $live of $count workers are ready; worker-1: $(tail -n 1 "$logs/worker-1.log" | cut -c 1-160)"
        fi
        sleep 0.2
    done
}

# Prints how many workers of this instance the coordinator lists as live: 0 until it is ready. A worker's name ends with
# its process id, which distinguishes it from workers of other instances on the same servers.
live_workers() {
    local name ids=()
    [[ $(curl --noproxy '*' -s -m 5 -o /dev/null -w '%{http_code}' "$SUBWATCH_URL/readyz") == 200 ]] || { echo 0 && return; }
    for name in "${programs[@]}"; do [[ $name == coordinator ]] || ids+=("$(process_id "$name" || true)"); done
    fetch /v1/workers | "$python" -I -c '
import json, re, sys
live = [worker["name"] for worker in json.load(sys.stdin)["workers"] if worker["state"] == "live"]
print(sum(any(re.search(rf"\b{id}$", name) for name in live) for id in sys.argv[1:] if id))' "${ids[@]}" 2>/dev/null || echo 0
}
