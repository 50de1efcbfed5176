#!/usr/bin/env bash
# The whole way on this machine, from nothing to figures: a sample dataset, its embeddings, a head trained on
# them, predictions. Runs on servers, a coordinator and workers of its own, which end with it.
#
#   WORKERS=2 THREADS=1 demo.sh
#
# Fetches nothing: without SUBWATCH_MODEL_WEIGHTS it takes pretrained weights that an earlier run has cached,
# or else random ones, and says which.

. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
. "$scripts/processes.sh"
. "$scripts/programs.sh"

images=600
subwatch=target/release/subwatch

choose_weights() {
    # The worker names a file it has fetched by its hash and by the last part of its address.
    local cached=${SUBWATCH_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/subwatch}/b627a593-resnet34-b627a593.pth
    weights_note="as SUBWATCH_MODEL_WEIGHTS says"
    if [[ -n ${SUBWATCH_MODEL_WEIGHTS:-} ]]; then return; fi
    if [[ -s $cached ]]; then
        export SUBWATCH_MODEL_WEIGHTS=$cached
        weights_note="torchvision's IMAGENET1K_V1, found in the cache"
    else
        export SUBWATCH_MODEL_WEIGHTS=random:0
        weights_note="no pretrained weights were given, so figures show the system working, not what a pretrained
             backbone would predict; set SUBWATCH_MODEL_WEIGHTS=… to a .pth or .safetensors file"
    fi
}

# Runs `subwatch` with the arguments after $1, whose standard output goes to the file $1 in the demo's folder.
step() {
    local answer=$home/$1 status=0
    shift
    say "\$ $subwatch $*"
    run_foreground "$subwatch" "$@" >"$answer" || status=$?
    ((status == 0)) || {
        list_programs
        for name in "${programs[@]}"; do show_log "$name" 10; done
        say "the demo failed: '$subwatch $*' ended with status $status"
        exit "$status"
    }
}

print_summary() {
    heading "the demo went through; what came out"
    "$python" - "$home" "$SUBWATCH_MODEL_WEIGHTS" "$weights_note" "$workers" <<'PY'
import json, pathlib, sys

home, weights, note, workers = pathlib.Path(sys.argv[1]), *sys.argv[2:]

def documents(name):
    text, found, decoder = (home / name).read_text().strip(), [], json.JSONDecoder()
    while text:
        value, end = decoder.raw_decode(text)
        found += value if isinstance(value, list) else value["items"] if isinstance(value.get("items"), list) else [value]
        text = text[end:].lstrip()
    return found

first, again, run = (documents(name)[-1] for name in ("embed.json", "again.json", "train.json"))
split, test, predictions = run["split"], run["test"], documents("predict.jsonl")
print(f"""\
embed        {first['succeeded']} images in {first['elapsed_seconds']:.1f} s: {first['items_per_second']:.1f} img/s with {workers} worker(s), {first['failed']} failed
embed again  {again['succeeded']} images in {again['elapsed_seconds']:.1f} s, {again['cached']} of them from the cache
train        {len(run['epochs'])} epochs in {run['elapsed_seconds']:.1f} s on {split['train']}/{split['valid']}/{split['test']} images (train/valid/test), best epoch {run['best_epoch']}
test MSE     {test['mse']:.4f}, {test['mse'] / test['baseline_mse']:.2f} times the {test['baseline_mse']:.4f} of predicting the training mean
predict      {predictions[0]['target']}""")
for item in predictions:
    print(f"             {pathlib.PurePath(item['item']).name}  {item['prediction']:.4g}")
print(f"weights      {weights} — {note}")
PY
}

read_wishes
use_instance demo
lock "$home/demo.lock" "make demo"
clean_up() {
    stop_programs
    "$scripts/services.sh" stop demo
}
leave_cleanly

"$scripts/setup.sh"
build
heading "1/6 servers, a coordinator and $workers worker(s) of the demo's own"
stop_programs
"$scripts/services.sh" start demo --fresh
# shellcheck source=/dev/null
. "$home/services.env"
rm -rf "$home/dataset" "$home/artifacts"
unset SUBWATCH_REDIS_KEY_PREFIX SUBWATCH_DATASET_ROOTS SUBWATCH_TOKENS_FILE SUBWATCH_TOKEN SUBWATCH_TOKEN_FILE \
    SUBWATCH_AMQP_CA_FILE SUBWATCH_REDIS_CA_FILE
export SUBWATCH_ARTIFACTS=$home/artifacts
choose_weights
start_programs "$workers" || exit 1

dataset=${home#"$root/"}/dataset
heading "2/6 a sample dataset of $images thumbnails"
step sample.txt dataset sample "$dataset" --count "$images" --seed 0
heading "3/6 its embeddings"
step embed.json -o json embed "$dataset"
heading "4/6 the same again, from the cache"
step again.json -o json embed "$dataset"
heading "5/6 a head trained on them"
step train.json -o json train "$dataset"
heading "6/6 predictions for five thumbnails"
thumbnails=("$dataset"/thumbnails/*)
step predict.jsonl -o jsonl predict "${thumbnails[@]:0:5}"
print_summary
