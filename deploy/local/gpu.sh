#!/usr/bin/env bash
# Measures the worker on a machine with a GPU that has nothing but Python and torch: no server, no network, no Rust.
#
#   gpu.sh pack                                 builds the worker here and puts what travels into .gpu/
#   .gpu/gpu.sh run OUT [--device cpu] [--quick]    measures there; writes OUT/results.json and OUT/results.md
#
# The worker finds libtorch where that machine's `python3` has torch, which must be of the version it was built with.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
most_bytes=$((60 << 20))

say() { printf '%s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

pack() {
    local root built=${CARGO_TARGET_DIR:-target} bytes
    root=$(cd "$here/../.." && pwd)
    cd "$root"
    export LIBTORCH=${LIBTORCH:-$root/.local/libtorch} LIBTORCH_CXX11_ABI=1
    cargo build --release -p worker
    rm -rf .gpu
    mkdir .gpu
    strip -o .gpu/subwatch-worker "$built/release/subwatch-worker"
    cp "$here/gpu.sh" "$here"/gpu/*.py .gpu/
    git rev-parse --short HEAD >.gpu/commit
    bytes=$(du -sb .gpu | cut -f 1)
    ((bytes <= most_bytes)) || fail ".gpu/ has $bytes bytes, more than the $most_bytes that are to travel"
    say ".gpu/ has $((bytes >> 10)) KiB"
}

run() {
    (($# > 0)) || fail "no folder for the results was given: gpu.sh run OUT"
    [[ -x $here/subwatch-worker ]] || fail "there is no worker in $here: run 'gpu.sh pack', and then .gpu/gpu.sh"
    PYTHONUNBUFFERED=1 PYTHONPATH=$here exec "${PYTHON:-python3}" "$here/measure.py" --worker "$here/subwatch-worker" "$@"
}

case ${1:-} in
pack) pack ;;
run) run "${@:2}" ;;
*) fail "'${1:-}' is not a command: pack or run" ;;
esac
