#!/usr/bin/env bash
# The complete workflow on this machine: crawls a dataset from a fake YouTube, embeds it, trains a head and predicts.
# Starts private servers, the fake site, a coordinator and workers, and stops them at the end.
#
#   WORKERS=2 THREADS=1 demo.sh
#
# Without SUBWATCH_MODEL_WEIGHTS, it uses torchvision's pretrained weights if they can be downloaded within a minute,
# else random ones, and says which. Downloaded weights stay in the worker's cache.

. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
. "$scripts/processes.sh"
. "$scripts/programs.sh"

channels=16
videos=40
weights_url=https://download.pytorch.org/models/resnet34-b627a593.pth#sha256=b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f
subwatch=target/release/subwatch

choose_weights() {
    weights_note="from SUBWATCH_MODEL_WEIGHTS"
    if [[ -n ${SUBWATCH_MODEL_WEIGHTS:-} ]]; then return; fi
    local file=$home/weights
    say "looking for pretrained weights for up to a minute"
    if run_foreground "$scripts/weights.sh" "$weights_url" >"$file" 2>"$file.log"; then
        SUBWATCH_MODEL_WEIGHTS=$(<"$file")
        weights_note="torchvision's IMAGENET1K_V1"
    else
        SUBWATCH_MODEL_WEIGHTS=random:0
        weights_note="random, because the pretrained weights could not be downloaded
             ($(tail -n 1 "$file.log" | sed 's/^error: //')); the results show that the system works, not how
             well a pretrained backbone predicts. Set SUBWATCH_MODEL_WEIGHTS to a .pth or .safetensors file"
    fi
    export SUBWATCH_MODEL_WEIGHTS
    say "weights: $SUBWATCH_MODEL_WEIGHTS, $weights_note"
}

# Starts the fake site, sets `site` to its URL, and raises the rate limits for it.
start_site() {
    start_process site target/release/fake-site --channels "$channels" --videos "$videos" --list "$home/channels.csv"
    await site 30 grep -q '^http' "$logs/site.log" || exit 1
    site=$(head -n 1 "$logs/site.log")
    export SUBWATCH_FETCH_ALLOW=127.0.0.1,localhost SUBWATCH_YOUTUBE_API_KEY=site-key
    export SUBWATCH_CRAWL_API_PER_SECOND=100 SUBWATCH_CRAWL_IMAGE_PER_SECOND=200
}

# step FILE ARGUMENT…: runs `subwatch` with the arguments; standard output goes to FILE in the demo's folder.
step() {
    local output=$home/$1 status=0
    shift
    say "\$ $subwatch $*"
    run_foreground "$subwatch" "$@" >"$output" || status=$?
    ((status == 0)) || {
        list_programs
        for name in "${programs[@]}"; do show_log "$name" 10; done
        say "the demo failed: '$subwatch $*' ended with status $status"
        exit "$status"
    }
}

print_summary() {
    heading "the demo is complete; results"
    "$python" -I - "$home" "$SUBWATCH_MODEL_WEIGHTS" "$weights_note" "$workers" <<'PY'
import json, pathlib, sys

home, weights, note, workers = pathlib.Path(sys.argv[1]), *sys.argv[2:]

def documents(name):
    text, found, decoder = (home / name).read_text().strip(), [], json.JSONDecoder()
    while text:
        value, end = decoder.raw_decode(text)
        found += value if isinstance(value, list) else value["items"] if isinstance(value.get("items"), list) else [value]
        text = text[end:].lstrip()
    return found

names = "crawl.json", "check.json", "embed.json", "again.json", "train.json"
crawl, check, first, again, run = (documents(name)[-1] for name in names)
split, test, predictions = run["split"], run["test"], documents("predict.jsonl")
print(f"""\
crawl        {crawl['succeeded']} channels in {crawl['elapsed_seconds']:.1f} s: {crawl['thumbnails']} thumbnails
check        {check['rows']} rows, {check['labels']['items']} with a label, {len(check['problems'])} unusable
embed        {first['succeeded']} images in {first['elapsed_seconds']:.1f} s: {first['items_per_second']:.1f} images/s, {first['failed']} failed; workers: {workers}
embed again  {again['succeeded']} images in {again['elapsed_seconds']:.1f} s, {again['cached']} from the cache
train        {len(run['epochs'])} epochs in {run['elapsed_seconds']:.1f} s on {split['train']}/{split['valid']}/{split['test']} images (train/valid/test), best epoch {run['best_epoch']}
test MSE     {test['mse']:.4f}, {test['mse'] / test['baseline_mse']:.2f} times the baseline of {test['baseline_mse']:.4f}, which predicts the training mean
predict      {predictions[0]['target']}""")
for item in predictions:
    print(f"             {pathlib.PurePath(item['item']).name}  {item['prediction']:.4g}")
print(f"weights      {weights} — {note}")
PY
}

read_options
use_instance demo
lock "$home/demo.lock" "make demo"
clean_up() {
    stop_programs
    stop_processes 5 site
    "$scripts/services.sh" stop demo
}
trap_exit

"$scripts/setup.sh"
build fake_site
heading "1/7 starting private servers, a fake site, a coordinator and workers (WORKERS=$workers)"
stop_programs
stop_processes 0 site
"$scripts/services.sh" start demo --fresh
# shellcheck source=/dev/null
. "$home/services.env"
rm -rf "$home/dataset" "$home/artifacts"
unset SUBWATCH_REDIS_KEY_PREFIX SUBWATCH_DATASET_ROOTS SUBWATCH_TOKENS_FILE SUBWATCH_TOKEN SUBWATCH_TOKEN_FILE \
    SUBWATCH_AMQP_CA_FILE SUBWATCH_REDIS_CA_FILE SUBWATCH_YOUTUBE_API_KEY_FILE
export SUBWATCH_ARTIFACTS=$home/artifacts
choose_weights
start_site
start_programs "$workers" || exit 1

dataset=${home#"$root/"}/dataset
heading "2/7 crawling $channels channels of the site"
step crawl.json -o json crawl --out "$dataset" --channels "${home#"$root/"}/channels.csv" --order popular \
    --videos-per-channel "$videos" --api-base "$site" --web-base "$site" --image-base "${site/127.0.0.1/localhost}"
heading "3/7 checking the dataset"
step check.json -o json dataset check "$dataset"
heading "4/7 embedding the thumbnails"
step embed.json -o json embed "$dataset"
heading "5/7 embedding them again, from the cache"
step again.json -o json embed "$dataset"
heading "6/7 training a head"
step train.json -o json train "$dataset"
heading "7/7 predicting for five thumbnails"
thumbnails=("$dataset"/thumbnails/*)
# By its ID, since the videos of the fake site may not let a head beat the baseline.
run=$("$python" -I -c 'import json, sys; print(json.load(open(sys.argv[1]))["run"])' "$home/train.json")
step predict.jsonl -o jsonl predict --run "$run" "${thumbnails[@]:0:5}"
print_summary
