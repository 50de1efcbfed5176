#!/usr/bin/env bash
# Downloads a weights file into the worker's cache, unless it is there, and prints its path.
#
#   weights.sh URL#sha256=DIGITS [SECONDS]    fails after SECONDS (default 60)
#
# DIGITS are all 64 of the file's SHA-256. On failure, the last line on standard error is the reason.

. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

[[ ${1:-} =~ ^(.+)#sha256=([0-9a-f]{64})$ ]] || fail "usage: weights.sh URL#sha256=DIGITS [SECONDS]"
url=${BASH_REMATCH[1]} digits=${BASH_REMATCH[2]} limit=${2:-60}
name=${url##*/}
# The worker looks for the file here.
cache=${SUBWATCH_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/subwatch}
file=$cache/${digits:0:8}-$name

is_right() { [[ -s $1 && $(sha256sum "$1" | cut -d ' ' -f 1) == "$digits" ]]; }

partial=
# shellcheck disable=SC2317 # reached through trap_exit
clean_up() { [[ -z $partial ]] || rm -f "$partial" "$partial.error"; }
trap_exit
if is_right "$file"; then
    printf '%s\n' "$file"
    exit 0
fi
mkdir -p "$cache"
partial=$(mktemp "$cache/.weights.XXXXXX")
say "downloading $url (time limit: $limit s)"
status=0
run_foreground curl -fsSL --connect-timeout 10 --max-time "$limit" --stderr "$partial.error" -o "$partial" "$url" ||
    status=$?
((status == 0)) || fail "$(tail -n 1 "$partial.error")"
is_right "$partial" || fail "the SHA-256 of the file is $(sha256sum "$partial" | cut -d ' ' -f 1), expected $digits"
mv "$partial" "$file"
printf '%s\n' "$file"
