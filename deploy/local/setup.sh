#!/usr/bin/env bash
# Installs the build dependencies on Debian or Ubuntu: system packages, and libtorch in .local/libtorch.
#
#   setup.sh          installs what the programs need
#   setup.sh tests    also installs what the tests need: a browser, and Python packages in .local/test-venv
#
# Installs only what is missing, so a second run takes seconds. apt and pip use the user's configuration. RabbitMQ and
# Redis are installed without starting them as system services; the scripts run private ones. If LIBTORCH is set, that
# libtorch is used.

. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

[[ $# == 0 || "$*" == tests ]] || fail "usage: setup.sh [tests]"
for_tests=${1:-}

packages=(ca-certificates cmake curl g++ gcc make nasm python3-venv rabbitmq-server redis-server)
if [[ -n $for_tests ]]; then
    packages+=(openssl)
    # The browser for rankings. On Ubuntu, Chromium has another name and needs snap.
    . /etc/os-release 2>/dev/null || ID=''
    [[ ${ID:-} != debian ]] || packages+=(chromium chromium-driver)
fi
requirements=("$torch" torchvision==0.26.0 numpy pillow datasets==5.2.0 "moto[server]==5.2.5" kubernetes-validate==1.37.0)
# With all that they need, pinned and with hashes; SUBWATCH_UNVERIFIED_WHEELS=1 allows wheels of other indexes.
locked=$scripts/wheels/tests.txt
stamp=$state/test-venv.stamp
# What a complete virtual environment was made from.
made_from="${requirements[*]} $(sha256sum <"$locked")"

policy=/usr/sbin/policy-rc.d
policy_mark='# Put here by subwatch while it installs packages; safe to remove.'

missing_packages() {
    local installed package
    installed=$(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' "${packages[@]}" 2>/dev/null || true)
    for package in "${packages[@]}"; do
        grep -qx "ii *$package" <<<"$installed" || printf '%s ' "$package"
    done
}

# Sets `as_root`, the prefix that runs a command as root; fails if there is none. sudo asks for a password only on a
# terminal.
find_root() {
    as_root=()
    ((EUID != 0)) || return 0
    command -v sudo >/dev/null || return 1
    as_root=(sudo)
    sudo -n true 2>/dev/null || { [[ -t 0 ]] && sudo true; }
}

install_packages() {
    local missing=$1
    find_root || fail "these Debian packages are missing: $missing
You are not root, and sudo does not work. Run as root:
    apt-get update && apt-get install $missing
Then run this command again."
    heading "installing Debian packages: $missing"
    if [[ ! -e $policy ]]; then
        policy_is_ours=yes
        printf '#!/bin/sh\n%s\nexit 101\n' "$policy_mark" | "${as_root[@]}" install -m 755 /dev/stdin "$policy"
    fi
    # Not fatal: the existing index may be recent enough.
    "${as_root[@]}" apt-get update -q </dev/null || say "apt-get update failed; using the existing index"
    # shellcheck disable=SC2086 # one word per package
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
        -o Dpkg::Use-Pty=0 $missing </dev/null || fail "apt-get could not install: $missing"
    keep_services_off "$missing"
}

# Disables the services of newly installed packages, so that they do not start at boot.
keep_services_off() {
    command -v systemctl >/dev/null || return 0
    local units=()
    [[ $1 != *rabbitmq-server* ]] || units+=(rabbitmq-server.service epmd.socket)
    [[ $1 != *redis-server* ]] || units+=(redis-server.service)
    ((${#units[@]} == 0)) || "${as_root[@]}" systemctl disable --quiet "${units[@]}" 2>/dev/null || true
}

# Also removes the policy file of a killed run.
restore_policy() {
    if [[ -e $policy ]] && grep -qsF "$policy_mark" "$policy"; then
        if find_root; then "${as_root[@]}" rm -f "$policy"; fi
    fi
}

# Whether the virtual environment is complete and has the required versions. The stamp is written last, so an
# interrupted installation has none. Reading metadata is much faster than importing torch.
test_venv_is_complete() {
    [[ -x $test_venv/bin/python && -r $stamp && $(<"$stamp") == "$made_from" ]] || return 1
    "$test_venv/bin/python" - "${requirements[@]}" <<'PY' 2>/dev/null
import sys
from importlib.metadata import version
for requirement in sys.argv[1:]:
    name, _, wanted = requirement.partition("==")
    name = name.partition("[")[0]
    if not version(name).startswith(wanted):
        sys.exit(1)
PY
}

make_test_venv() {
    heading "installing the tests' Python packages into .local/test-venv"
    say "On x86-64 this downloads about 3 GB and needs 5 GB, and takes minutes."
    rm -rf "$stamp" "$test_venv"
    run_foreground env -u PYTHONHOME -u PYTHONPATH "$python" -m venv "$test_venv" ||
        fail "$python could not create the virtual environment .local/test-venv"
    local wanted=(--require-hashes --requirement "$locked")
    [[ -z ${SUBWATCH_UNVERIFIED_WHEELS:-} ]] || wanted=("${requirements[@]}")
    run_foreground "$test_venv/bin/python" -m pip install --only-binary=:all: "${wanted[@]}" ||
        fail "pip could not install ${requirements[*]} into .local/test-venv: see its message above, then run this again." \
            "If the index has other wheels than PyPI and you trust it, set SUBWATCH_UNVERIFIED_WHEELS=1"
    run_foreground "$test_venv/bin/python" -c 'import torch, torchvision' ||
        fail "torch was installed but cannot be imported"
    printf '%s\n' "$made_from" >"$stamp"
    test_venv_is_complete || fail "pip installed versions other than ${requirements[*]}: see" \
        "'$test_venv/bin/python -m pip list'"
}

policy_is_ours=
clean_up() { [[ -z $policy_is_ours ]] || restore_policy; }

lock "$state/setup.lock" "make setup" 1800
trap_exit
command -v dpkg-query >/dev/null || fail "dpkg not found: setup supports only Debian and Ubuntu. On other systems, install" \
    "the equivalents of: ${packages[*]}"
command -v cargo >/dev/null || fail "cargo not found: install Rust with rustup" \
    "(https://www.rust-lang.org/tools/install), then run this again"
restore_policy
missing=$(missing_packages)
[[ -z $missing ]] || install_packages "${missing% }"
[[ -n ${LIBTORCH:-} ]] || run_foreground "$scripts/libtorch.sh" "$state/libtorch" || exit 1
if [[ -n $for_tests ]]; then
    test_venv_is_complete || make_test_venv
    command -v chromedriver >/dev/null ||
        say "chromedriver not found on the PATH: rankings and their tests need it and Chromium"
fi
say "setup is complete"
