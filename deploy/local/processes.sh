# shellcheck shell=bash disable=SC2154
# Background processes of an instance. Sourced after environment.sh and `use_instance`.
#
# `$pids/NAME.pid` has a process id and the process's start time. The start time tells the process from a later one
# with the same id, which is never signalled.

# Prints when process $1 started, in clock ticks since boot; fails if it is gone or a zombie.
started_at() {
    local stat fields
    { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
    read -ra fields <<<"${stat##*) }"
    [[ ${fields[0]} != [ZX] ]] && printf '%s\n' "${fields[19]}"
}

# Prints the id of process NAME; fails if it is not running.
process_id() {
    local id start
    { read -r id start <"$pids/$1.pid"; } 2>/dev/null || return 1
    [[ $id =~ ^[0-9]+$ && -n $start && $(started_at "$id") == "$start" ]] && printf '%s\n' "$id"
}

runs() { process_id "$1" >/dev/null; }

# Starts NAME in a new session, so that neither Ctrl-C nor a closed terminal reaches it. The previous log is kept as
# `.1`.
start_process() {
    local name=$1 log=$logs/$1.log
    shift
    [[ ! -e $log ]] || mv -f "$log" "$log.1"
    setsid "$@" </dev/null >"$log" 2>&1 9>&- &
    printf '%s %s\n' "$!" "$(started_at "$!" || echo gone)" >"$pids/$name.pid"
}

# Stops the named processes in parallel: SIGTERM, a grace period of $1 seconds, then SIGKILL to them and their children.
# Without a grace period they are killed immediately.
stop_processes() {
    local grace=$1 deadline=$((SECONDS + $1)) name id
    shift
    if ((grace > 0)); then
        for name in "$@"; do
            if id=$(process_id "$name"); then kill -TERM "$id" 2>/dev/null || true; fi
        done
    fi
    for name in "$@"; do
        while id=$(process_id "$name"); do
            if ((SECONDS >= deadline)); then
                ((grace == 0)) || say "$name ($id) did not stop within $grace s; killing it"
                kill -KILL -- "-$id" 2>/dev/null || kill -KILL "$id" 2>/dev/null || true
            fi
            sleep 0.05
        done
        rm -f "$pids/$name.pid"
    done
}

# Prints the last lines of NAME's log.
show_log() {
    say "--- last lines of ${logs#"$root/"}/$1.log"
    tail -n "${2:-15}" "$logs/$1.log" >&2 || true
    say "---"
}

# await NAME SECONDS COMMAND…: waits until COMMAND succeeds; fails and prints the log if NAME exits or times out.
await() {
    local name=$1 limit=$2 deadline=$((SECONDS + $2))
    shift 2
    until "$@"; do
        if ! runs "$name"; then
            show_log "$name"
            say "$name exited during start-up"
            return 1
        fi
        if ((SECONDS >= deadline)); then
            show_log "$name"
            say "$name was not ready within $limit s"
            return 1
        fi
        sleep 0.1
    done
}

# Whether something accepts connections on port $1 of this machine.
listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
