#!/usr/bin/env python3
"""Reads datasets as their users do, and prints what they get, as JSON.

    imagefolder.py load FOLDER      load_dataset("imagefolder", data_dir=FOLDER), with every image decoded
    imagefolder.py columns FOLDER   the types of its columns and the number of values in each, without the images
    imagefolder.py pandas FOLDER    pandas.read_json of metadata.jsonl
    imagefolder.py tables FOLDER    rewrites FOLDER/metadata.jsonl as Parquet, with each codec, in FOLDER-<codec>
"""
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import pandas

form, folder = sys.argv[1], Path(sys.argv[2])


def loaded(cache):
    import datasets

    datasets.disable_progress_bars()
    return datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=cache)


def load():
    with tempfile.TemporaryDirectory() as cache:
        rows = []
        for split, part in loaded(cache).items():
            for row in part:
                image = row.pop("image")
                rows.append({"split": split, "file": Path(image.filename).name, "size": list(image.size), **row})
        return rows


def columns():
    import datasets

    with tempfile.TemporaryDirectory() as cache:
        part = loaded(cache)["train"].cast_column("image", datasets.Image(decode=False))
        types = {name: str(getattr(feature, "dtype", feature)) for name, feature in part.features.items()}
        table = part.data
        return {"types": types, "values": {name: len(part) - table[name].null_count for name in part.column_names}}


def tables():
    rows = pandas.read_json(folder / "metadata.jsonl", lines=True, dtype={"video_id": str})
    for codec in ("snappy", "gzip", "zstd", "none", "brotli"):
        copy = Path(f"{folder}-{codec}")
        shutil.copytree(folder, copy)
        (copy / "metadata.jsonl").unlink()
        rows.to_parquet(copy / "metadata.parquet", compression=None if codec == "none" else codec)


read = {
    "load": load,
    "columns": columns,
    "tables": tables,
    "pandas": lambda: json.loads(pandas.read_json(folder / "metadata.jsonl", lines=True).to_json(orient="records", date_format="iso")),
}
print(json.dumps(read[form](), default=str))
