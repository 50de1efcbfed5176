#!/usr/bin/env bash
# Measures a large submission: embeds a dataset of ITEMS rows and one of 10,000, and prints time, peak memory of every
# process and bytes in Redis of both. Starts private servers, a coordinator and workers, and stops them at the end.
#
#   ITEMS=1000000 WORKERS=1 scale.sh
#   ITEMS=1000000 ROWS=no scale.sh        images without metadata
#
# The images are links to a hundred generated thumbnails that are embedded beforehand, so every item is read, hashed
# and found in the cache: this measures the system around the model. ITEMS=1000000 needs some 100 MB of disk for names
# and 400 MB for rows, which are removed at the end.

. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
. "$scripts/processes.sh"
. "$scripts/programs.sh"

few=10000
thumbnails=100
subwatch=target/release/subwatch

read_options
items=${ITEMS:-100000}
[[ $items =~ ^[1-9][0-9]{0,9}$ ]] || items=0
((items > few && items <= 65000 * thumbnails)) ||
    fail "ITEMS is '${ITEMS:-}': it must be a number between $((few + 1)) and $((65000 * thumbnails))"
form=rows
[[ ${ROWS:-yes} == yes ]] || form=listing

use_instance scale
lock "$home/scale.lock" "make scale"
clean_up() {
    stop_programs
    "$scripts/services.sh" stop scale
    rm -rf "$home/datasets" "$home/artifacts"
}
trap_exit

# Runs a command; if it fails, prints the logs and exits.
must() {
    local status=0
    run_foreground "$@" || status=$?
    ((status == 0)) || {
        list_programs
        for name in "${programs[@]}"; do show_log "$name" 10; done
        fail "'$*' ended with status $status"
    }
}

# Embeds a dataset of $1 items with fresh servers and programs.
measure() {
    local dataset=$home/datasets/$1 name processes=()
    heading "$1 items"
    stop_programs
    "$scripts/services.sh" start scale --fresh
    # shellcheck source=/dev/null
    . "$home/services.env"
    rm -rf "$home/artifacts"
    must "$python" "$scripts/scale.py" dataset "$home/datasets/seed" "$dataset" "$1" "$form"
    start_programs "$workers" || exit 1
    must "$subwatch" embed "$home/datasets/seed"
    for name in "${programs[@]}"; do processes+=("$name=$(process_id "$name")"); done
    must "$python" "$scripts/scale.py" measure "$dataset" "$1" "$home/$1.json" "${processes[@]}"
}

"$scripts/setup.sh"
build
unset SUBWATCH_REDIS_KEY_PREFIX SUBWATCH_DATASET_ROOTS
export SUBWATCH_ARTIFACTS=$home/artifacts SUBWATCH_MODEL_WEIGHTS=${SUBWATCH_MODEL_WEIGHTS:-random:0}
rm -rf "$home/datasets"
must "$subwatch" dataset sample "$home/datasets/seed" --count "$thumbnails" --seed 0
measure "$few"
measure "$items"
heading "resources used with WORKERS=$workers"
"$python" "$scripts/scale.py" table "$home/$few.json" "$home/$items.json"
