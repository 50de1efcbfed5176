#!/usr/bin/env bash
# Programs of Debian 13 for this project alone: fetched, verified and unpacked below .local/debian13/root.
#
#   debian13.sh unpack PACKAGE…    with the packages they depend on; nothing is installed, no root is needed
#
# Does again only what is missing. apt does the fetching, with lists and caches of its own, from the mirror
# that the machine's own apt uses where that is one of Debian's.

. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

home=$state/debian13
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

mirror() {
    local found
    found=$(sed -nE 's#^(URIs:|deb( \[[^]]*\])?) *(https?://[^ ]+/debian)/?( .*)?$#\3#p' \
        /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1)
    printf '%s' "${found:-http://deb.debian.org/debian}"
}

# Apt over folders of its own, where nothing counts as installed.
private_apt() {
    run_foreground apt-get -q -o Dir::State="$home/apt/state" -o Dir::Cache="$home/apt/cache" \
        -o Dir::State::status="$home/apt/status" -o Dir::Etc::SourceList="$home/apt/sources.list" \
        -o Dir::Etc::SourceParts=/dev/null \
        -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1 "$@"
}

unpack() {
    local stamp=$home/unpacked packages=("$@")
    if [[ -r $stamp ]] && ! comm -23 <(printf '%s\n' "${packages[@]}" | sort) <(sort "$stamp") | grep -q .; then
        return 0
    fi
    if ! command -v apt-get >/dev/null || [[ ! -r $keyring ]]; then
        fail "fetching Debian 13's packages needs apt and $keyring"
    fi
    heading "fetching from Debian 13: ${packages[*]}"
    mkdir -p "$home/apt/state/lists/partial" "$home/apt/cache/archives/partial" "$home/root"
    : >"$home/apt/status"
    printf 'deb [signed-by=%s] %s trixie main\n' "$keyring" "$(mirror)" >"$home/apt/sources.list"
    private_apt update || fail "the index of Debian 13 could not be fetched or verified: see apt's message above"
    private_apt install -y --download-only --no-install-recommends "${packages[@]}" ||
        fail "apt could not fetch: ${packages[*]}"
    local package
    for package in "$home"/apt/cache/archives/*.deb; do dpkg -x "$package" "$home/root"; done
    printf '%s\n' "${packages[@]}" >>"$stamp"
    rm -rf "$home/apt"
}

clean_up() { :; }

[[ $# -ge 2 && $1 == unpack ]] || fail "usage: debian13.sh unpack PACKAGE…"
mkdir -p "$home"
lock "$home/lock" "debian13.sh" 600
leave_cleanly
unpack "${@:2}"
