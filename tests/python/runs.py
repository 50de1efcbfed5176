"""Reference results for training runs, recomputed from their exports.

    runs.py split METADATA SPLIT BY SEED    the split of a run (`export split`), by channel or video
    runs.py metrics FOLDER TEST             the test metrics, a JSON object, from the exports of the run in FOLDER:
                                            embeddings.npy, embeddings.items.jsonl, split.jsonl, predictions.jsonl and
                                            head.safetensors; the target is transformed by log1p
"""
import collections
import hashlib
import json
import sys

import numpy as np

from reference import load_safetensors


def rows(path):
    return [json.loads(line) for line in open(path, encoding="utf-8")]


def split(metadata, exported, by, seed):
    exported = {row["item"]: row for row in rows(exported)}
    samples = [row for row in rows(metadata) if row["file_name"] in exported]

    def channel(row):
        return row.get("channel_id") or row.get("channel")

    # Connected components: samples are linked by an equal image and, by channel, by an equal channel.
    links = collections.defaultdict(list)
    for at, row in enumerate(samples):
        links["image", exported[row["file_name"]]["sha256"]].append(at)
        if by == "channel" and channel(row):
            links["channel", channel(row)].append(at)
    neighbours = collections.defaultdict(set)
    for linked in links.values():
        for at in linked:
            neighbours[at].update(linked)
    groups, seen = [], set()
    for start in range(len(samples)):
        group, queue = [], [start]
        while queue:
            at = queue.pop()
            if at not in seen:
                seen.add(at)
                group.append(at)
                queue.extend(neighbours[at])
        if group:
            groups.append(group)

    def key(row):
        return channel(row) or row["video_id"] if by == "channel" else row["video_id"]

    def place(group):
        smallest = min(key(samples[at]) for at in group)
        return hashlib.sha256(seed.to_bytes(8, "little") + smallest.encode()).digest()

    sizes, expected = collections.Counter(), {}
    for group in sorted(groups, key=place):
        fits = [name for name in ("test", "valid") if sizes[name] + len(group) <= len(samples) // 5]
        name = fits[0] if fits else "train"
        sizes[name] += len(group)
        expected.update((samples[at]["file_name"], name) for at in group)
    actual = {item: row["split"] for item, row in exported.items()}
    different = {item for item in actual if actual[item] != expected[item]}
    assert not different, f"{len(different)} of {len(actual)} items are in another split: {sorted(different)[:3]}"
    print(len(groups))


def ranks(values):
    """Ranks from 1; ties share their mean rank."""
    return np.array([(values < value).sum() + ((values == value).sum() + 1) / 2 for value in values])


def metrics(folder, reported):
    reported = json.loads(reported)
    at = {row["item"]: index for index, row in enumerate(rows(f"{folder}/embeddings.items.jsonl"))}
    lines = rows(f"{folder}/split.jsonl")
    test = [row for row in lines if row["split"] == "test"]
    labels = np.array([row["label"] for row in test])
    train = np.array([row["label"] for row in lines if row["split"] == "train"])
    features = np.load(f"{folder}/embeddings.npy")[[at[row["item"]] for row in test]].astype(np.float64)
    head = load_safetensors(f"{folder}/head.safetensors")
    predicted = features @ head["fc.weight"][0].double().numpy() + head["fc.bias"].double().numpy()
    targets, raw = np.log1p(labels), np.maximum(np.expm1(predicted), 0)
    expected = {
        "mse": np.mean((predicted - targets) ** 2),
        "mae": np.mean(np.abs(predicted - targets)),
        "r2": 1 - np.sum((predicted - targets) ** 2) / np.sum((targets - targets.mean()) ** 2),
        "spearman": np.corrcoef(ranks(predicted), ranks(targets))[0, 1],
        "baseline_mse": np.mean((np.log1p(train).mean() - targets) ** 2),
        "raw.mse": np.mean((raw - labels) ** 2),
        "raw.mae": np.mean(np.abs(raw - labels)),
        "raw.baseline_mse": np.mean((train.mean() - labels) ** 2),
    }
    for name, value in expected.items():
        of = reported
        for part in name.split("."):
            of = of[part]
        assert np.isclose(of, value, rtol=1e-4, atol=1e-6), f"{name}: reported {of}, expected {value}"
    exported = [row["prediction"] for row in rows(f"{folder}/predictions.jsonl")]
    assert np.allclose(exported, raw, rtol=1e-4, atol=1e-5), f"{exported[:5]} {raw[:5]}"
    assert min(exported) >= 0, min(exported)
    print(int((predicted < 0).sum()))


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    match command:
        case "split":
            split(rest[0], rest[1], rest[2], int(rest[3]))
        case "metrics":
            metrics(*rest)
        case _:
            sys.exit(__doc__)
