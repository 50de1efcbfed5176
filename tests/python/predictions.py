"""Reads a batch prediction with pyarrow and pandas, and prints its manifest, schema and rows as JSON.

    predictions.py FOLDER [ENDPOINT]     ENDPOINT is that of an S3 server, and FOLDER then BUCKET/PREFIX

The files are compared with the manifest: names, sizes, digests and numbers of rows.
"""

import hashlib
import json
import sys

import pandas
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet


def main(folder, endpoint=None):
    files = pyarrow.fs.LocalFileSystem()
    if endpoint:
        files = pyarrow.fs.S3FileSystem(
            access_key="test", secret_key="test", region="us-east-1", scheme="http", endpoint_override=endpoint
        )

    def read(name):
        with files.open_input_stream(f"{folder}/{name}") as stream:
            return stream.read()

    manifest = json.loads(read("_manifest.json"))
    found = {info.base_name for info in files.get_file_info(pyarrow.fs.FileSelector(folder))}
    listed = {shard["name"] for shard in manifest["shards"]}
    assert found == listed | {"_manifest.json", f"_submission-{manifest['submission']}.json"}, found
    for shard in manifest["shards"]:
        content = read(shard["name"])
        assert len(content) == shard["bytes"], shard
        assert hashlib.sha256(content).hexdigest() == shard["sha256"], shard
    # Files whose names begin with an underscore are skipped by default.
    dataset = pyarrow.dataset.dataset(folder, filesystem=files, format=manifest["format"].replace("jsonl", "json"))
    table = dataset.to_table()
    assert table.num_rows == manifest["rows"] == sum(shard["rows"] for shard in manifest["shards"])
    assert table.column_names == [column["name"] for column in manifest["columns"]], table.column_names
    if manifest["format"] == "parquet":
        frame = pandas.read_parquet(folder, filesystem=files)
        assert list(frame.columns) == table.column_names and len(frame) == table.num_rows
        assert int(frame["prediction"].isna().sum()) == manifest["failed_rows"]
        for shard in manifest["shards"]:
            with files.open_input_file(f"{folder}/{shard['name']}") as file:
                assert pyarrow.parquet.read_metadata(file).num_rows == shard["rows"], shard
    else:
        lines = "".join(read(shard["name"]).decode() for shard in manifest["shards"]).splitlines()
        assert [json.loads(line) for line in lines] == table.to_pylist()
    schema = {field.name: str(field.type) for field in table.schema}
    print(json.dumps({"manifest": manifest, "schema": schema, "rows": table.to_pylist()}))


main(*sys.argv[1:])
