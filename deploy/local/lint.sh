#!/usr/bin/env bash
# Formatting, clippy with and without libtorch, documentation, shell scripts: every warning is an error.
#
# Uses the release profile, where the native libraries that `make build` compiled are found again.

. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

step() {
    heading "$*"
    run_foreground "$@" || failed+=("$*")
}

clean_up() { :; }
leave_cleanly
"$scripts/setup.sh"
{ cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1 ||
    fail "cargo has no fmt or no clippy: run 'rustup component add rustfmt clippy'"
failed=()
step cargo fmt --all --check
step cargo clippy --release --workspace --all-targets -- -D warnings
step cargo clippy --release -p worker --all-targets --no-default-features -- -D warnings
step env RUSTDOCFLAGS='-D warnings' cargo doc --release --workspace --no-deps
if command -v shellcheck >/dev/null; then
    step shellcheck -x -P SCRIPTDIR deploy/*.sh deploy/local/*.sh .ci/run
else
    say "shellcheck is not installed, so the shell scripts were not checked"
fi
((${#failed[@]} == 0)) || { printf 'failed: %s\n' "${failed[@]}" >&2 && exit 1; }
say "nothing to complain about"
