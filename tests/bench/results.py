"""The figures of a run: collected by round, written as JSON, Markdown and a plot."""

import datetime
import json
import statistics
from pathlib import Path

# What the project aims at, with AMX and without. Nothing is asserted: a result shows the target beside the ratio.
TARGETS = {
    "model_bf16_vs_torch_compile": ("≥ 1.0", "≥ 0.94"),
    "decode_480x360_vs_pillow": ("≥ 1.6", "≥ 1.6"),
    "decode_1280x720_vs_pillow": ("≥ 2", "≥ 2"),
    "embed_vs_ceiling": ("≥ 0.92", "≥ 0.92"),
    "embed_vs_celery_compile": ("≥ 1.3", "≥ 1.1"),
    "embed_vs_ray": ("≥ 1.2", "≥ 1.1"),
    "queue_vs_celery": ("≥ 15", "≥ 15"),
    "queue_vs_raw_lapin": ("≥ 0.4", "≥ 0.4"),
    "similarity_vs_reading_f16": ("≤ 0.7", "≤ 0.7"),
    "similarity_speed_vs_faiss": ("≥ 3", "≥ 3"),
}


class Results:
    """`targets`: 0 for those of machines with AMX, 1 for those of others, None for none."""

    def __init__(self, machine: dict, targets: int | None):
        self.machine, self.targets = machine, targets
        self.figures: dict[str, dict] = {}
        self.ratios: dict[str, dict] = {}
        self.notes: dict[str, object] = {}
        self.errors: dict[str, str] = {}
        self.seconds: dict[str, float] = {}

    def add(self, name: str, value: float, unit: str) -> float:
        """Adds the figure of one round."""
        self.figures.setdefault(name, {"unit": unit, "runs": []})["runs"].append(value)
        return value

    def runs(self, name: str) -> list[float]:
        return self.figures.get(name, {}).get("runs", [])

    def median(self, name: str) -> float:
        return statistics.median(self.runs(name))

    def ratio(self, name: str, ours: str, peer: str, inverse: bool = False) -> None:
        """Records ours ÷ peer as the median of the rounds' ratios; nothing if one of them was not measured.

        `inverse` records peer ÷ ours instead: how many times faster ours is, if the figures are times.
        """
        pairs = list(zip(self.runs(ours), self.runs(peer)))
        if not pairs:
            return
        ratios = [b / a if inverse else a / b for a, b in pairs]
        target = None if self.targets is None else TARGETS.get(name, (None, None))[self.targets]
        self.ratios[name] = {
            "ours": statistics.median(a for a, _ in pairs),
            "peer": statistics.median(b for _, b in pairs),
            "ratio": statistics.median(ratios),
            "target": target,
            "unit": self.figures[ours]["unit"],
            "figures": [ours, peer],
            "runs": ratios,
        }

    def as_json(self) -> dict:
        for figure in self.figures.values():
            figure["median"] = statistics.median(figure["runs"])
        return {
            "errors": self.errors,
            "seconds": self.seconds,
            "machine": self.machine,
            "notes": self.notes,
            "ratios": self.ratios,
            "figures": self.figures,
        }

    def write(self, folder: Path, plot: bool) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        stem = folder / f"{datetime.date.today():%Y-%m-%d}-{self.machine['isa']}"
        results = self.as_json()
        stem.with_suffix(".json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        stem.with_suffix(".md").write_text(markdown(results))
        if plot and self.figures:
            draw(results, stem.with_suffix(".png"))
        return stem


def digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def spread(runs: list[float]) -> str:
    return f"{digits(min(runs))}–{digits(max(runs))}"


def markdown(results: dict) -> str:
    lines = [f"# {results['machine']['isa']}", ""]
    lines += ["Written by `make bench`. Figures are medians; ours and the peers alternate in one run.", ""]
    lines += [f"- {key.replace('_', ' ')}: {value}" for key, value in results["machine"].items()]
    lines += ["", "## Ratios", "", "| ours ÷ peer | ours | peer | unit | ratio | target | runs |", "| --- " * 7 + "|"]
    for name, row in results["ratios"].items():
        cells = [name, digits(row["ours"]), digits(row["peer"]), row["unit"], f"**{row['ratio']:.3g}**"]
        lines.append("| " + " | ".join([*cells, row["target"] or "–", spread(row["runs"])]) + " |")
    lines += ["", "## Figures", "", "| figure | median | unit | from–to | runs |", "| --- " * 5 + "|"]
    for name, row in results["figures"].items():
        runs = row["runs"]
        lines.append(f"| {name} | {digits(row['median'])} | {row['unit']} | {spread(runs)} | {len(runs)} |")
    if results["notes"]:
        lines += ["", "## Notes", ""] + [f"- {name}: {note}" for name, note in results["notes"].items()]
    if results["errors"]:
        lines += ["", "## Not measured", ""] + [f"- {name}: {error[:300]}" for name, error in results["errors"].items()]
    return "\n".join(lines) + "\n"


def draw(results: dict, path: Path) -> None:
    """Draws one panel per part: a bar per figure, with a dot per round."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    parts: dict[tuple[str, str], list[str]] = {}
    for name, figure in results["figures"].items():
        parts.setdefault((name.split("/")[0], figure["unit"]), []).append(name)
    heights = [len(names) + 1 for names in parts.values()]
    size = {"figsize": (9, 0.32 * sum(heights) + 0.6 * len(parts) + 0.5), "layout": "constrained"}
    figure, panels = plt.subplots(len(parts), 1, height_ratios=heights, squeeze=False, **size)
    figure.suptitle(f"{results['machine']['isa']}, {results['machine']['cores']} cores: medians, and every round")
    for panel, ((part, unit), names) in zip(panels[:, 0], parts.items()):
        rows = [results["figures"][name] for name in names]
        ours = ["/ours" in name for name in names]
        panel.barh(range(len(names)), [row["median"] for row in rows], color=["C0" if mine else "C7" for mine in ours])
        for position, row in enumerate(rows):
            panel.plot(row["runs"], [position] * len(row["runs"]), "k.", markersize=3)
            panel.annotate(f" {digits(row['median'])}", (max(row["runs"]), position), va="center", fontsize=8)
        panel.set_yticks(range(len(names)), [name.split("/", 1)[1] for name in names], fontsize=8)
        panel.invert_yaxis()
        panel.margins(x=0.12)
        panel.set_title(f"{part}, {unit}", fontsize=9, loc="left")
    figure.savefig(path, dpi=110)
    plt.close(figure)
