#!/usr/bin/env bash
# Runs the fuzz targets of tests/fuzz one after the other on one core, each for SECONDS=60.
#
#   fuzz.sh [TARGET…]    all targets by default
#
# The corpus is tests/fuzz/seeds and the inputs that earlier runs added in .local/fuzz/<target>. An input that fails is
# saved in .local/fuzz/failures/<target> and ends the run of its target.

. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

seconds=${FUZZ_SECONDS:-60}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || fail "SECONDS is '$seconds': it must be a positive integer"
fuzz=tests/fuzz
corpus=$state/fuzz

# cargo-fuzz needs nightly flags; this enables them on the stable toolchain.
export RUSTC_BOOTSTRAP=1

install_tool() {
    PATH=$state/tools/bin:$PATH
    cargo fuzz --version >/dev/null 2>&1 && return
    heading "installing cargo-fuzz into .local/tools"
    run_foreground cargo install --quiet --locked cargo-fuzz --root "$state/tools"
}

run_target() {
    local target=$1 seeds=$fuzz/seeds/$1
    mkdir -p "$corpus/$target" "$corpus/failures/$target"
    heading "fuzzing $target for $seconds s"
    run_foreground cargo fuzz run --fuzz-dir "$fuzz" "$target" "$corpus/$target" "$seeds" -- \
        -max_total_time="$seconds" -print_final_stats=1 -rss_limit_mb=4096 -timeout=20 \
        -artifact_prefix="$corpus/failures/$target/"
}

clean_up() { :; }
trap_exit
install_tool
# Test the dependency versions that are shipped.
cp Cargo.lock "$fuzz/Cargo.lock"
mapfile -t all < <(cargo fuzz list --fuzz-dir "$fuzz")
targets=("${@:-${all[@]}}")
failed=()
for target in "${targets[@]}"; do run_target "$target" || failed+=("$target"); done
((${#failed[@]} == 0)) || fail "failed targets: ${failed[*]}; the inputs are in $corpus/failures"
