#!/usr/bin/env bash
# Programs of Debian 13 for this project alone: fetched, verified and unpacked below .local/debian13/root.
#
#   debian13.sh unpack PACKAGE…    with the packages they depend on; nothing is installed, no root is needed
#   debian13.sh run PROGRAM …      becomes that program, in a namespace where Debian 13's files are the machine's;
#                                  the project, /tmp, /dev and /proc are where they always are
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
    complete_root
    printf '%s\n' "${packages[@]}" >>"$stamp"
    rm -rf "$home/apt"
}

# What the base system brings along and packages take for granted.
complete_root() {
    local folder
    for folder in bin sbin lib lib64; do ln -sfn "usr/$folder" "$home/root/$folder"; done
    [[ ! -e $home/root/usr/bin/dash ]] || ln -sfn dash "$home/root/usr/bin/sh"
    [[ ! -e $home/root/usr/bin/gawk ]] || ln -sfn gawk "$home/root/usr/bin/awk"
    mkdir -p "$home/root"/{dev,proc,tmp} "$home/root$root"
}

run() {
    command -v unshare >/dev/null || fail "running Debian 13's programs needs unshare, of the package util-linux"
    exec unshare --map-root-user --mount "$scripts/debian13.sh" enter "$@"
}

# Within the namespace: what is mounted here is seen by nobody else and goes with the last process.
enter() {
    local shared
    for shared in /dev /proc /tmp "$root"; do mount --rbind "$shared" "$home/root$shared"; done
    exec chroot "$home/root" "$@"
}

clean_up() { :; }

[[ $# -ge 2 && $1 =~ ^(unpack|run|enter)$ ]] || fail "usage: debian13.sh unpack PACKAGE… | run PROGRAM …"
[[ $1 == unpack ]] || "$1" "${@:2}"
mkdir -p "$home"
lock "$home/lock" "debian13.sh" 600
leave_cleanly
unpack "${@:2}"
