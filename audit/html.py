"""An audit's report as one HTML file that needs nothing else: no script, no host, light or dark as its reader has it.

Whatever the report holds is told as text: nothing in a key or a name becomes markup, and characters that would not be
seen, or would turn the text around them, are told by number.
"""

from collections.abc import Collection, Iterator, Mapping
from html import escape

import msgspec

from audit.report import LISTED, Class, Difference, Report, Result, Verdict
from audit.style import STYLE

NOTHING: Mapping[str, Collection[str]] = {}

MEANING: Mapping[Class, str] = {
    "missing": "MySQL has the row, the store has not.",
    "extra": "The store has a row that MySQL has not, or has it in a second place.",
    "resurrected": "The store has a row that was deleted in MySQL.",
    "altered": "The store holds other values than MySQL.",
    "stale": "The store holds what was made from an older state of the row.",
    "wrong generation": "Made by another generation of the model, prompt or code than is declared.",
    "old mapping": "Written under an earlier declaration of `topics.yaml`.",
    "impossible position": "Stored under a position that no change of the row explains.",
}
"""The classes, in the order in which they are listed."""

_SIGNS: Mapping[Verdict, str] = {"equal": "=", "different": "≠", "undecided": "?"}
_VERDICTS: Mapping[Verdict, str] = {
    "equal": "Every store holds what MySQL holds.",
    "different": "Stores differ from MySQL.",
    "undecided": "Some of it could not be compared: that is no proof.",
}


def page(report: Report, personal: Mapping[str, Collection[str]] = NOTHING, *, before: Report | None = None) -> str:
    """The page. ``personal`` names personal columns by table: where one is part of a key, its value is left out.

    Of other columns a report holds the names alone. ``before`` is the report behind which rows were repaired, where
    ``report`` is the one that followed.
    """
    title = f"{report.version}: {report.verdict}"
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            '<meta name="referrer" content="no-referrer">',
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            f"<title>{_text(title)} · Tailrace</title>",
            f"<style>{STYLE}</style></head><body><main>",
            *_whole(report, personal, "Audit" if before is None else "Behind the repair: audit"),
            *(() if before is None else _whole(before, personal, "Before the repair: audit")),
            "</main></body></html>\n",
        )
    )


def _whole(report: Report, personal: Mapping[str, Collection[str]], kind: str) -> Iterator[str]:
    yield from _head(report, kind)
    yield from _matrix(report.results)
    yield from _differences(report.results, personal)
    yield from _results(report.results)


def _head(report: Report, kind: str) -> Iterator[str]:
    verdict, results = report.verdict, report.results
    yield f'<header><p class="kind">{kind} of version {_text(report.version)}</p>'
    yield f'<h1 class="{verdict}"><span class="sign">{_SIGNS[verdict]}</span> {_text(verdict)}</h1>'
    yield f"<p>{_VERDICTS[verdict]}</p><dl>"
    for name, value in (
        ("position", report.position),
        ("depth", report.depth),
        ("took", f"{report.seconds:,.1f} s"),
        ("compared", f"{sum(result.compared for result in results):,} rows"),
        ("different", f"{sum(result.different for result in results):,}"),
        ("undecided", f"{sum(result.undecided for result in results):,}"),
    ):
        yield f"<div><dt>{name}</dt><dd>{_text(value)}</dd></div>"
    yield "</dl></header>"


def _matrix(results: list[Result]) -> Iterator[str]:
    """A row for each table and what is made of it, a column for each store."""
    if not results:
        yield "<p>Nothing was compared.</p>"
        return
    sinks = list(dict.fromkeys(result.sink for result in results))
    tables = list(dict.fromkeys(result.table for result in results))
    yield '<section><h2>Tables and stores</h2><div class="wide"><table class="matrix"><thead><tr><th>table</th>'
    yield "".join(f"<th>{_text(sink)}</th>" for sink in sinks) + "</tr></thead><tbody>"
    for table in tables:
        cells = []
        for sink in sinks:
            here = [result for result in results if (result.table, result.sink) == (table, sink)]
            cells.append(f"<td>{' '.join(map(_mark, here))}</td>")
        name = _text(table).replace("_", "_<wbr>").replace(".", ".<wbr>")
        yield f"<tr><th>{name}</th>{''.join(cells)}</tr>"
    yield '</tbody></table></div><p class="note">= equal, ≠ so many rows differ, ? undecided; empty: the table does not'
    yield "go there.</p></section>"


def _mark(result: Result) -> str:
    count = f" {result.different:,}" if result.different else ""
    return f'<span class="mark {result.verdict}" title="{_text(_told(result))}">{_SIGNS[result.verdict]}{count}</span>'


def _told(result: Result) -> str:
    return f"{result.place}: {result.verdict}" + (f", {result.reason}" if result.reason else "")


def _differences(results: list[Result], personal: Mapping[str, Collection[str]]) -> Iterator[str]:
    """By class, then by target, in the report's order."""
    by_class: dict[Class, list[tuple[Result, Difference]]] = {}
    for result in results:
        for difference in result.differences:
            by_class.setdefault(difference.class_, []).append((result, difference))
    if not by_class:
        return
    yield "<section><h2>Rows that differ</h2>"
    for class_, meaning in MEANING.items():
        found = by_class.get(class_, [])
        if not found:
            continue
        yield f'<details open><summary><b>{class_}</b> <span class="count">{len(found):,}</span> {_text(meaning)}'
        yield '</summary><div class="wide"><table class="rows"><thead><tr><th>table</th><th>store</th><th>key</th>'
        yield "<th>columns</th></tr></thead><tbody>"
        for result, difference in found:
            columns = ", ".join(difference.columns)
            yield (
                f"<tr><td>{_text(result.table)}</td><td>{_text(result.sink)} <small>{_text(result.place)}</small></td>"
                f"<td><code>{key_text(result.table, difference, personal)}</code></td><td>{_text(columns)}</td></tr>"
            )
        yield "</tbody></table></div></details>"
    left = sum(result.different - len(result.differences) for result in results)
    if left > 0:
        yield f'<p class="note">{left:,} more differ: at most {LISTED} rows of each table and store are listed.</p>'
    yield "</section>"


def key_text(table: str, difference: Difference, personal: Mapping[str, Collection[str]]) -> str:
    """A key as markup, without the values of personal columns."""
    hidden = personal.get(table.partition(".")[0], ())
    parts = (
        f"{_text(name)} = <i>personal</i>" if name in hidden else f"{_text(name)} = {_text(_json(value))}"
        for name, value in difference.key.items()
    )
    return ", ".join(parts)


def _results(results: list[Result]) -> Iterator[str]:
    if not results:
        return
    yield '<section><h2>Every comparison</h2><div class="wide"><table><thead><tr><th>table</th><th>store</th>'
    yield '<th>verdict</th><th class="number">MySQL</th><th class="number">store</th><th class="number">different</th>'
    yield '<th class="number">undecided</th></tr></thead><tbody>'
    for result in results:
        reason = f"<br><small>{_text(result.reason)}</small>" if result.reason else ""
        counts = (result.source_rows, result.sink_rows, result.different, result.undecided)
        yield (
            f"<tr><td>{_text(result.table)}</td><td>{_text(result.sink)} <small>{_text(result.place)}</small></td>"
            f'<td><span class="mark {result.verdict}">{_SIGNS[result.verdict]} {result.verdict}</span>{reason}</td>'
            + "".join(f'<td class="number">{count:,}</td>' for count in counts)
            + "</tr>"
        )
    yield "</tbody></table></div></section>"


def _json(value: bool | int | float | str | None) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _text(value: str) -> str:
    """As markup that shows just this text."""
    seen = "".join(char if char.isprintable() else f"\\u{{{ord(char):x}}}" for char in value)
    return escape(seen, quote=True)
