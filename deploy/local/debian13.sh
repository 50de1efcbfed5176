#!/usr/bin/env bash
# Runs programs of Debian 13 without installing them: packages are downloaded, verified and unpacked into
# .local/debian13/root. Needs no root.
#
#   debian13.sh unpack PACKAGE…    unpacks packages and their dependencies, unless they are unpacked already
#   debian13.sh run PROGRAM …      execs the program in a mount namespace with Debian 13's root file system, plus the
#                                  project, /tmp, /dev and /proc
#
# apt downloads into separate lists and caches, from the machine's Debian mirror if it has one.

. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

home=$state/debian13
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

mirror() {
    local found
    found=$(sed -nE 's#^(URIs:|deb( \[[^]]*\])?) *(https?://[^ ]+/debian)/?( .*)?$#\3#p' \
        /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1)
    printf '%s' "${found:-http://deb.debian.org/debian}"
}

# apt with separate state folders, in which no package counts as installed.
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
        fail "downloading packages of Debian 13 needs apt and $keyring"
    fi
    heading "downloading from Debian 13: ${packages[*]}"
    mkdir -p "$home/apt/state/lists/partial" "$home/apt/cache/archives/partial" "$home/root"
    : >"$home/apt/status"
    printf 'deb [signed-by=%s] %s trixie main\n' "$keyring" "$(mirror)" >"$home/apt/sources.list"
    private_apt update || fail "cannot download or verify the package index of Debian 13: see apt's message above"
    private_apt install -y --download-only --no-install-recommends "${packages[@]}" ||
        fail "apt could not download: ${packages[*]}"
    local package
    for package in "$home"/apt/cache/archives/*.deb; do dpkg -x "$package" "$home/root"; done
    complete_root
    printf '%s\n' "${packages[@]}" >>"$stamp"
    rm -rf "$home/apt"
}

# Adds parts of the base system that packages rely on.
complete_root() {
    local folder
    for folder in bin sbin lib lib64; do ln -sfn "usr/$folder" "$home/root/$folder"; done
    [[ ! -e $home/root/usr/bin/dash ]] || ln -sfn dash "$home/root/usr/bin/sh"
    [[ ! -e $home/root/usr/bin/gawk ]] || ln -sfn gawk "$home/root/usr/bin/awk"
    mkdir -p "$home/root"/{dev,proc,tmp} "$home/root$root"
}

run() {
    command -v unshare >/dev/null || fail "running programs of Debian 13 needs unshare, from the package util-linux"
    exec unshare --map-root-user --mount "$scripts/debian13.sh" enter "$@"
}

# Runs inside the namespace: the mounts are private to it and go away with its last process.
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
trap_exit
unpack "${@:2}"
