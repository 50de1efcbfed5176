# shellcheck shell=bash disable=SC2154
# The coordinator and the workers of an instance. Sourced after environment.sh, processes.sh and `use_instance`.

# Reads how many workers are wanted, and with how many compute threads each, before anything is done.
read_wishes() {
    workers=${WORKERS:-1}
    [[ $workers =~ ^[1-9][0-9]*$ ]] || fail "WORKERS is '$workers': it must be a number from 1"
    [[ -n ${THREADS:-} ]] || return 0
    [[ $THREADS =~ ^[1-9][0-9]*$ ]] || fail "THREADS is '$THREADS': it must be a number from 1"
    export SUBWATCH_MODEL_THREADS=$THREADS
}

# Builds coordinator and workers, and the packages that the arguments name besides.
build() { run_foreground "$scripts/build.sh" "$@"; }

# Sets `programs` to the names of those that were started and not yet stopped.
list_programs() {
    local file
    programs=()
    for file in "$pids"/worker-*.pid "$pids"/coordinator.pid; do
        [[ ! -e $file ]] || programs+=("$(basename "$file" .pid)")
    done
}

# Workers hand back what they cannot finish within their grace; a little more lets them say so.
stop_programs() {
    list_programs
    ((${#programs[@]} == 0)) || stop_processes $((${SUBWATCH_SHUTDOWN_GRACE_SECONDS:-30} + 5)) "${programs[@]}"
}

# Starts the coordinator and $1 workers with the settings of the environment and waits until all serve;
# fails, having shown why, when one of them ends instead.
start_programs() {
    local count=$1 number
    export SUBWATCH_URL=${SUBWATCH_URL%/} SUBWATCH_DATASET_ROOTS=${SUBWATCH_DATASET_ROOTS:-$root}
    export SUBWATCH_LOG_FORMAT=${SUBWATCH_LOG_FORMAT:-human}
    # Asked before ours starts: its answer must not be taken for ours.
    ! fetch "" >/dev/null || fail "something already listens at $SUBWATCH_URL: stop it or choose another SUBWATCH_URL"
    start_process coordinator target/release/subwatch serve
    for ((number = 1; number <= count; number++)); do
        start_process "worker-$number" target/release/subwatch-worker
    done
    await_programs "$count"
}

# Prints the header that shows the user's access token, where there is one.
token_header() {
    local token=${SUBWATCH_TOKEN:-}
    if [[ -z $token && -r ${SUBWATCH_TOKEN_FILE:-} ]]; then token=$(<"$SUBWATCH_TOKEN_FILE"); fi
    [[ -z $token ]] || printf 'Authorization: Bearer %s\n' "$token"
}

# Whether the coordinator's server answers at path $1 at all; prints what it says. Arguments can be seen by others
# of the machine, so the token is none of them.
fetch() { curl --noproxy '*' -s -m 5 -H @<(token_header) "$SUBWATCH_URL$1" 2>/dev/null; }

await_programs() {
    local count=$1 limit=${UP_SECONDS:-900} deadline notice=$((SECONDS + 10)) name live
    deadline=$((SECONDS + limit))
    list_programs
    while true; do
        live=$(live_workers)
        for name in "${programs[@]}"; do
            runs "$name" || { show_log "$name" && say "$name ended while it started" && return 1; }
        done
        if ((live == count)); then return 0; fi
        if ((SECONDS >= deadline)); then
            for name in "${programs[@]}"; do show_log "$name" 5; done
            say "$live of $count workers serve after $limit s"
            return 1
        fi
        if ((SECONDS >= notice)); then
            notice=$((SECONDS + 10))
            say "waiting: $live of $count workers serve; worker-1: $(tail -n 1 "$logs/worker-1.log" | cut -c 1-160)"
        fi
        sleep 0.2
    done
}

# Prints how many of our workers the coordinator knows as live: 0 until it is ready. A worker's name ends
# with its process id, which tells ours from others that share the servers.
live_workers() {
    local name ids=()
    [[ $(curl --noproxy '*' -s -m 5 -o /dev/null -w '%{http_code}' "$SUBWATCH_URL/readyz") == 200 ]] || { echo 0 && return; }
    for name in "${programs[@]}"; do [[ $name == coordinator ]] || ids+=("$(process_id "$name" || true)"); done
    fetch /v1/workers | "$python" -I -c '
import json, re, sys
live = [worker["name"] for worker in json.load(sys.stdin)["workers"] if worker["state"] == "live"]
print(sum(any(re.search(rf"\b{id}$", name) for name in live) for id in sys.argv[1:] if id))' "${ids[@]}" 2>/dev/null || echo 0
}
