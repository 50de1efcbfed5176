#!/usr/bin/env bash
# Measures the worker beside PyTorch on a machine with a GPU. That machine needs Python with torch, torchvision and
# Pillow, but no servers, network or Rust.
#
#   gpu.sh pack                                     build the worker and copy it and the scripts into .gpu/
#   .gpu/gpu.sh run OUT [--device cpu] [--quick]    measure, and write OUT/results.json and OUT/results.md
#
# Copy .gpu/ to the machine. The worker uses the libtorch of its `python3`, which must have the version of the build.

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
    ((bytes <= most_bytes)) || fail ".gpu/ has $bytes bytes, but at most $most_bytes are allowed"
    say ".gpu/ has $((bytes >> 10)) KiB"
}

run() {
    (($# > 0)) || fail "the folder for the results is missing: gpu.sh run OUT"
    [[ -x $here/subwatch-worker ]] || fail "$here has no worker: run 'gpu.sh pack', then .gpu/gpu.sh"
    PYTHONUNBUFFERED=1 PYTHONPATH=$here exec "${PYTHON:-python3}" "$here/measure.py" --worker "$here/subwatch-worker" "$@"
}

case ${1:-} in
pack) pack ;;
run) run "${@:2}" ;;
*) fail "unknown command '${1:-}': use pack or run" ;;
esac
