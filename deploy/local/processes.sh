# shellcheck shell=bash disable=SC2154
# Background processes of an instance. Sourced after environment.sh and `use_instance`.
#
# `$pids/NAME.pid` holds a process id and when that process started. The second number is what makes a
# process ours: a recycled id belongs to somebody else and is never signalled.

# Prints when process $1 started, in clock ticks since the machine did; fails when it is gone or a zombie.
started_at() {
    local stat fields
    { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
    read -ra fields <<<"${stat##*) }"
    [[ ${fields[0]} != [ZX] ]] && printf '%s\n' "${fields[19]}"
}

# Prints the id of our process NAME; fails when it does not run.
process_id() {
    local id start
    { read -r id start <"$pids/$1.pid"; } 2>/dev/null || return 1
    [[ $id =~ ^[0-9]+$ && -n $start && $(started_at "$id") == "$start" ]] && printf '%s\n' "$id"
}

runs() { process_id "$1" >/dev/null; }

# Starts NAME in a session of its own, so that neither Ctrl-C nor a closed terminal reaches it. The log
# of the life before is kept as `.1`.
start_process() {
    local name=$1 log=$logs/$1.log
    shift
    [[ ! -e $log ]] || mv -f "$log" "$log.1"
    setsid "$@" </dev/null >"$log" 2>&1 9>&- &
    printf '%s %s\n' "$!" "$(started_at "$!" || echo gone)" >"$pids/$name.pid"
}

# Stops the named processes side by side: SIGTERM, $1 seconds of grace, then SIGKILL to what is left of
# them and of their children. With no grace they are killed at once.
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
                ((grace == 0)) || say "$name ($id) did not stop within $grace s and is killed"
                kill -KILL -- "-$id" 2>/dev/null || kill -KILL "$id" 2>/dev/null || true
            fi
            sleep 0.05
        done
        rm -f "$pids/$name.pid"
    done
}

# Shows how the log of NAME ends.
show_log() {
    say "--- the end of ${logs#"$root/"}/$1.log"
    tail -n "${2:-15}" "$logs/$1.log" >&2 || true
    say "---"
}

# Waits until the command after NAME and SECONDS succeeds; fails, with the log's end, when NAME dies or
# time runs out.
await() {
    local name=$1 limit=$2 deadline=$((SECONDS + $2))
    shift 2
    until "$@"; do
        if ! runs "$name"; then
            show_log "$name"
            say "$name ended while it started"
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
