#!/usr/bin/env bash
# Runs the fuzz targets of tests/fuzz, one after the other on one core; SECONDS=60 says how long each.
#
#   fuzz.sh [TARGET…]    all targets where none is named
#
# They start from the inputs in tests/fuzz/seeds and from what earlier runs found worth keeping in
# .local/fuzz/<target>. An input that fails is kept in .local/fuzz/failures/<target>, and ends the run.

. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

seconds=${FUZZ_SECONDS:-60}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || fail "SECONDS is '$seconds': it must be a number from 1"
fuzz=tests/fuzz
grown=$state/fuzz

# cargo-fuzz asks for a nightly toolchain; this makes the stable one take its flags.
export RUSTC_BOOTSTRAP=1

install_tool() {
    PATH=$state/tools/bin:$PATH
    cargo fuzz --version >/dev/null 2>&1 && return
    heading "installing cargo-fuzz into .local/tools"
    run_foreground cargo install --quiet --locked cargo-fuzz --root "$state/tools"
}

run_target() {
    local target=$1 seeds=$fuzz/seeds/$1
    mkdir -p "$grown/$target" "$grown/failures/$target"
    heading "fuzzing $target for $seconds s"
    run_foreground cargo fuzz run --fuzz-dir "$fuzz" "$target" "$grown/$target" "$seeds" -- \
        -max_total_time="$seconds" -print_final_stats=1 -rss_limit_mb=4096 -timeout=20 \
        -artifact_prefix="$grown/failures/$target/"
}

clean_up() { :; }
leave_cleanly
install_tool
# The versions that are tested are the ones that are shipped.
cp Cargo.lock "$fuzz/Cargo.lock"
mapfile -t all < <(cargo fuzz list --fuzz-dir "$fuzz")
targets=("${@:-${all[@]}}")
failed=()
for target in "${targets[@]}"; do run_target "$target" || failed+=("$target"); done
((${#failed[@]} == 0)) || fail "these targets failed: ${failed[*]}; the inputs are below $grown/failures"
