"""Tables as pandas writes them, and the rows that pandas reads from them.

    tables.py FOLDER        writes FOLDER/table-* and prints a JSON object: file name → rows
"""
import json
import random
import sys

import pandas as pd

frame = pd.DataFrame(
    {
        "video_id": [f"video{number:06}" for number in range(5)],
        "Title": ['"quoted", with comma', "two\nlines", "日本語; 한국어", "tab\there", "#hashtag"],
        " Views ": [3, 1_234_567, None, 0, 17],
        "subscribers": [1, 20, 300, 4_000, 50_000],
        "ratio": [0.5, 1.0, -2.25, None, 1e-7],
        "rank": [5, 4, 3, 2, -1],
        "live": [True, False, True, True, False],
        "note": ["a", None, "NA", "b", "None"],
        "code": ["x1", "2", "3", "4", "5"],
    }
)


def written(folder):
    """Writes the tables. Yields each name with pandas' way to read it."""
    options = {"index": False, "lineterminator": "\n"}
    csv = {
        "comma.csv": ({}, {}),
        "index.csv": ({"index": True}, {"index_col": 0}),
        "semicolon.csv": ({"sep": ";"}, {"sep": ";"}),
        "tab.tsv": ({"sep": "\t"}, {"sep": "\t"}),
        "crlf.csv": ({"lineterminator": "\r\n"}, {}),
        "mark.csv": ({"encoding": "utf-8-sig"}, {"encoding": "utf-8-sig"}),
        "utf-16.csv": ({"encoding": "utf-16", "sep": "\t"}, {"encoding": "utf-16", "sep": "\t"}),
        "quoted.csv": ({"quoting": 1}, {}),
    }
    for name, (write, read) in csv.items():
        frame.to_csv(f"{folder}/table-{name}", **{**options, **write})
        yield name, pd.read_csv(f"{folder}/table-{name}", **read)
    for orient in ("records", "split", "columns", "index", "table"):
        name = f"{orient}.json"
        frame.to_json(f"{folder}/table-{name}", orient=orient, indent=2 if orient == "records" else None)
        yield name, pd.read_json(f"{folder}/table-{name}", orient=orient)
    frame.to_json(f"{folder}/table-lines.jsonl", orient="records", lines=True)
    yield "lines.jsonl", pd.read_json(f"{folder}/table-lines.jsonl", lines=True)
    yield from random_tables(folder)


CELLS = ["a", "", "NA", "1", "2", "-3", "1.5", "1e3", "True", "false", 'q"q', "x,y", "l1\nl2", "l1\r\nl2", "  sp ", "#c"]
CELLS += ["null", "None", "é먹", "'", '"', "a\tb", "a;b", "0", "0.0", "1_0", "1,000", "-"]


def random_tables(folder):
    """Writes tables whose columns have a few kinds of cells each."""
    chance = random.Random(7)
    for number in range(40):
        columns = {"video_id": list(frame["video_id"])}
        for column in range(chance.randint(1, 4)):
            cells = chance.sample(CELLS, chance.randint(1, 4))
            columns[f"c{column}"] = chance.choices(cells, k=len(frame))
        separator, end = chance.choice(",,;\t|"), chance.choice(["\n", "\r\n"])
        options = {"index": False, "sep": separator, "lineterminator": end, "quoting": chance.choice([0, 1, 2])}
        name = f"random-{number}.csv"
        pd.DataFrame(columns).to_csv(f"{folder}/table-{name}", **options)
        yield name, pd.read_csv(f"{folder}/table-{name}", sep=separator)


def rows(read):
    for row in read.to_dict("records"):
        yield {name: value for name, value in row.items() if not pd.isna(value)}


folder = sys.argv[1]
found = {f"table-{name}": list(rows(read)) for name, read in written(folder)}
print(json.dumps(found, default=lambda value: value.item()))
