"""Reads an exported space with pyarrow and pandas, as its documentation says, and prints what it has as JSON.

    space.py FOLDER
"""

import json
import sys

import numpy
import pandas
import pyarrow.parquet

folder = sys.argv[1]
frame = pandas.read_parquet(folder)
matrix = numpy.stack(frame["embedding"])
assert matrix.dtype == numpy.float32 and matrix.shape == (len(frame), 512), (matrix.dtype, matrix.shape)
assert (matrix == matrix.astype(numpy.float16)).all(), "the values are half-precision numbers"
digests = [digest.hex() for digest in frame["sha256"]]
assert all(len(digest) == 64 for digest in digests) and digests == sorted(digests)
schema = {field.name: str(field.type) for field in pyarrow.parquet.read_table(folder).schema}
print(json.dumps({"schema": schema, "sha256": digests, "sums": matrix.sum(axis=1, dtype=numpy.float64).tolist()}))
