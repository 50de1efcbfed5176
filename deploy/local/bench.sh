#!/usr/bin/env bash
# Measures this project beside what you would use instead, in one run: ours and the peers alternate, and figures are
# medians. Writes tests/bench/results/<date>-<isa>.json, .md and .png. Nothing depends on the figures: a run fails only
# if something cannot be measured. Starts private servers and stops everything at the end.
#
#   bench.sh                            all parts: 25 minutes on two cores, and 6 GB in .local for the peers
#   PARTS=model,queue RUNS=3 bench.sh   parts: model, decode, embed, interactive, queue, similarity; default: all, RUNS=5
#   QUICK=1 bench.sh                    ours alone, with small counts, into .local/bench/results: tries the harness
#
#   PROFILE=dev       profile to build with (default: release)
#   OUT=FOLDER        folder of the results
#   NOTE=TEXT         a remark for the results, such as what else ran on the machine
#
# The peers are in tests/bench and in deploy/local/gpu; their Python packages are those of the tests and, in
# .local/bench-venv, those of wheels/bench.txt.

. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

profile=${PROFILE:-release}
[[ $profile =~ ^(dev|release)$ ]] || fail "PROFILE is '$profile': it must be dev or release"
programs=${CARGO_TARGET_DIR:-$root/target}/${profile/dev/debug}
venv=$state/bench-venv
locked=$scripts/wheels/bench.txt

use_instance bench
lock "$home/bench.lock" "make bench"
started=
# shellcheck disable=SC2317 # reached through trap_exit
clean_up() {
    [[ -z $started ]] || "$scripts/services.sh" stop bench
    rm -rf "$home/work"
}
trap_exit

# One selection of packages for all, with the tests' dependencies: cargo compiles the others once, and `make test` has
# compiled them already. The worker that does nothing comes last and is a program of its own.
build() {
    local cargo=(cargo build --profile "$profile" --workspace --example raw-queue)
    run_foreground "${cargo[@]}" --bin subwatch --bin subwatch-worker
    run_foreground "${cargo[@]}" --bin subwatch-noop-worker --features worker/bench-noop
}

# The packages of the peers, in an environment that also finds those of the tests.
make_venv() {
    local made_from
    made_from=$(cat "$locked" "$scripts/wheels/tests.txt" | sha256sum)
    [[ ! -r $venv/made-from || $(<"$venv/made-from") != "$made_from" ]] || return 0
    heading "installing the peers' Python packages into .local/bench-venv"
    rm -rf "$venv"
    run_foreground env -u PYTHONHOME -u PYTHONPATH "$python" -m venv "$venv" ||
        fail "$python could not create the virtual environment .local/bench-venv"
    local wanted=(--require-hashes --requirement "$locked")
    [[ -z ${SUBWATCH_UNVERIFIED_WHEELS:-} ]] || mapfile -t wanted < <(grep -oE '^[a-z0-9-]+==[^ ]+' "$locked")
    run_foreground "$venv/bin/python" -m pip install --quiet --no-deps --only-binary=:all: "${wanted[@]}" ||
        fail "pip could not install the packages of wheels/bench.txt: see its message above, then run this again"
    printf '%s\n' "$test_venv"/lib/python*/site-packages >"$(echo "$venv"/lib/python*/site-packages)/tests.pth"
    run_foreground "$venv/bin/python" -c 'import celery, faiss, matplotlib, openvino, ray, redis, torch' ||
        fail "the peers' packages were installed but cannot be imported"
    printf '%s\n' "$made_from" >"$venv/made-from"
}

if [[ -n ${QUICK:-} ]]; then
    "$scripts/setup.sh"
    interpreter=$python
else
    [[ -e $("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h ]] ||
        fail "torch.compile needs Python.h: install it with 'apt-get install python3-dev', or set QUICK=1"
    "$scripts/setup.sh" tests
    make_venv
    interpreter=$venv/bin/python
fi
heading "building"
build
started=yes
"$scripts/services.sh" start bench --fresh
# shellcheck source=/dev/null
. "$home/services.env"
arguments=(--programs "$programs" --work "$home/work" --profile "$profile")
[[ -z ${QUICK:-} ]] || arguments+=(--quick)
[[ -z ${PARTS:-} ]] || arguments+=(--parts "$PARTS")
[[ -z ${RUNS:-} ]] || arguments+=(--runs "$RUNS")
[[ -z ${OUT:-} ]] || arguments+=(--out "$OUT")
[[ -z ${NOTE:-} ]] || arguments+=(--note "$NOTE")
heading "measuring"
run_foreground env PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$root/tests/bench:$scripts:$scripts/gpu" \
    "$interpreter" "$root/tests/bench/bench.py" "${arguments[@]}"
