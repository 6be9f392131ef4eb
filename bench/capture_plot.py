#!/usr/bin/env python3
"""Draws ``bench/capture.json`` as ``docs/capture.svg``; ``python -m bench.capture_plot``."""

import json
from html import escape
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
SOURCE, TARGET = HERE / "capture.json", HERE.parent / "docs" / "capture.svg"

SHAPES = {"bulk": "wide rows with JSON, in bulk", "single": "single-row transactions", "large": "64 KB rows"}
OURS, PEER = "#1769aa", "#9aa5b1"
WIDTH, LABELS, BAR, GAP, PANEL, TOP = 860, 230, 18, 8, 46, 16
LONGEST = WIDTH - LABELS - 190

STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2933}.title{font-weight:600}.note{fill:#52606d}"
    "@media(prefers-color-scheme:dark){text{fill:#e4e7eb}.note{fill:#9aa5b1}}"
)


def medians(told: dict[str, Any], shape: str) -> dict[str, float]:
    """Rows/s by reader, the fastest first."""
    runs = [run for run in told["runs"] if run["shape"] == shape]
    found = {
        reader: median(run["rows_per_s"] for run in runs if run["reader"] == reader)
        for reader in dict.fromkeys(run["reader"] for run in runs)
    }
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def drawn(told: dict[str, Any]) -> str:
    """The picture: a panel for each shape, a bar for each reader, drawn to the scale of its panel."""
    parts: list[str] = []
    y = TOP
    for shape, title in SHAPES.items():
        rates = medians(told, shape)
        if not rates:
            continue
        y += BAR
        parts.append(f'<text class="title" x="0" y="{y}">{escape(title)}: rows/s into Kafka</text>')
        y += GAP
        for reader, rate in rates.items():
            ratio = told["ratio_to_debezium"].get(shape, {}).get(reader, {}).get("rows_per_s")
            length = max(1.0, LONGEST * rate / max(rates.values()))
            color = OURS if reader.startswith("tailrace") else PEER
            beside = f"{rate:,.0f}" + (f"  ({ratio:.2f} × Debezium)" if ratio and reader != "debezium" else "")
            parts += [
                f'<text x="{LABELS - 10}" y="{y + 14}" text-anchor="end">{escape(reader)}</text>',
                f'<rect x="{LABELS}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2" fill="{color}"/>',
                f'<text class="note" x="{LABELS + length + 8:.1f}" y="{y + 14}">{escape(beside)}</text>',
            ]
            y += BAR + GAP
        y += PANEL - BAR
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}" role="img">'
    return f"{head}<title>Capture beside its peers</title><style>{STYLE}</style>{''.join(parts)}</svg>\n"


def main() -> None:
    TARGET.write_text(drawn(json.loads(SOURCE.read_text())))
    print(TARGET.relative_to(HERE.parent))


if __name__ == "__main__":
    main()
