#!/usr/bin/env bash
# Brings a Debian or Ubuntu machine to where `make build` works: packages, and libtorch in .local/libtorch.
#
#   setup.sh          what the programs need
#   setup.sh tests    what their tests need besides: a browser, and Python packages in .local/test-venv
#
# Does again only what is missing, so a second run takes a moment. Package managers are called the ordinary way and
# follow the user's own configuration. The packages of RabbitMQ and Redis are installed without letting them start as
# services of the machine: the project runs private ones. If LIBTORCH names a libtorch, that one is used.

. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

[[ $# == 0 || "$*" == tests ]] || fail "usage: setup.sh [tests]"
for_tests=${1:-}

packages=(ca-certificates cmake curl g++ gcc make nasm python3-venv rabbitmq-server redis-server)
if [[ -n $for_tests ]]; then
    packages+=(openssl)
    # The browser that rankings are read with. Elsewhere Chromium has other names, and may need snap.
    . /etc/os-release 2>/dev/null || ID=''
    [[ ${ID:-} != debian ]] || packages+=(chromium chromium-driver)
fi
requirements=("$torch" torchvision==0.26.0 numpy pillow "moto[server]==5.2.5" kubernetes-validate==1.37.0)
stamp=$state/test-venv.stamp

policy=/usr/sbin/policy-rc.d
policy_mark='# Put here by subwatch while it installs packages; safe to remove.'

missing_packages() {
    local installed package
    installed=$(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' "${packages[@]}" 2>/dev/null || true)
    for package in "${packages[@]}"; do
        grep -qx "ii *$package" <<<"$installed" || printf '%s ' "$package"
    done
}

# Sets `as_root`, the words that make a command run as root; fails when there are none. A password is
# asked for only where somebody can type it.
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
You are not root and sudo does not work here. As root, run
    apt-get update && apt-get install $missing
and then this command again."
    heading "installing Debian packages: $missing"
    if [[ ! -e $policy ]]; then
        policy_is_ours=yes
        printf '#!/bin/sh\n%s\nexit 101\n' "$policy_mark" | "${as_root[@]}" install -m 755 /dev/stdin "$policy"
    fi
    # An index that cannot be refreshed may still be good enough, so only the installation decides.
    "${as_root[@]}" apt-get update -q </dev/null || say "apt-get update failed; trying with the index that is there"
    # shellcheck disable=SC2086 # one word a package
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
        -o Dpkg::Use-Pty=0 $missing </dev/null || fail "apt-get could not install: $missing"
    keep_services_off "$missing"
}

# What was not on the machine before must not start with it from now on either.
keep_services_off() {
    command -v systemctl >/dev/null || return 0
    local units=()
    [[ $1 != *rabbitmq-server* ]] || units+=(rabbitmq-server.service epmd.socket)
    [[ $1 != *redis-server* ]] || units+=(redis-server.service)
    ((${#units[@]} == 0)) || "${as_root[@]}" systemctl disable --quiet "${units[@]}" 2>/dev/null || true
}

# Also takes away what a killed run left.
restore_policy() {
    if [[ -e $policy ]] && grep -qsF "$policy_mark" "$policy"; then
        if find_root; then "${as_root[@]}" rm -f "$policy"; fi
    fi
}

# Whether the venv was finished and still holds the wanted versions. The stamp is written last, so a venv
# whose making was interrupted has none. Metadata is read, which is much quicker than importing torch.
test_venv_is_complete() {
    [[ -x $test_venv/bin/python && -r $stamp && $(<"$stamp") == "${requirements[*]}" ]] || return 1
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
    say "On x86-64 this fetches about 3 GB and fills 5 GB unless pip is configured for CPU builds; it takes minutes."
    rm -rf "$stamp" "$test_venv"
    run_foreground env -u PYTHONHOME -u PYTHONPATH "$python" -m venv "$test_venv" ||
        fail "$python could not make the virtual environment .local/test-venv"
    run_foreground "$test_venv/bin/python" -m pip install "${requirements[@]}" ||
        fail "pip could not install ${requirements[*]} into .local/test-venv: see its message above, then run this again"
    run_foreground "$test_venv/bin/python" -c 'import torch, torchvision' ||
        fail "torch was installed but cannot be imported"
    printf '%s\n' "${requirements[*]}" >"$stamp"
    test_venv_is_complete || fail "pip did not install ${requirements[*]} as asked: see what" \
        "'$test_venv/bin/python -m pip list' says"
}

policy_is_ours=
clean_up() { [[ -z $policy_is_ours ]] || restore_policy; }

lock "$state/setup.lock" "make setup" 1800
leave_cleanly
command -v dpkg-query >/dev/null || fail "this set-up knows Debian and Ubuntu only. Elsewhere install the" \
    "equivalents of: ${packages[*]}"
command -v cargo >/dev/null || fail "there is no cargo. Install Rust with rustup, as" \
    "https://www.rust-lang.org/tools/install shows, and run this again"
restore_policy
missing=$(missing_packages)
[[ -z $missing ]] || install_packages "${missing% }"
[[ -n ${LIBTORCH:-} ]] || run_foreground "$scripts/libtorch.sh" "$state/libtorch" || exit 1
if [[ -n $for_tests ]]; then
    test_venv_is_complete || make_test_venv
    command -v chromedriver >/dev/null ||
        say "There is no chromedriver on the PATH: reading rankings, and the tests of that, need one and its Chromium."
fi
say "set-up is complete"
