"""From what an audit found to what incidents and later looks are made of: pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from audit.compare import named
from audit.entry import Audit, AuditDetail, Why
from audit.incidents import Scope, Seen, Spot
from audit.report import Class, Report, Result, overall
from audit.side import Finding, Side, Where
from changes.key import Key, key_of
from changes.schema import TableSchema
from changes.target import Target


def seen_of(report: Report, findings: Mapping[str, Sequence[tuple[Side, Finding]]] | None = None) -> list[Seen]:
    """What an audit saw, by table and sink: one of them may have several targets there. Without ``findings`` rows are
    those that the report lists, and nobody knows where they lie."""
    spots: dict[Scope, dict[Class, list[Spot]]] = {}
    for scope, class_, spot in _listed(report) if findings is None else _found(findings):
        spots.setdefault(scope, {}).setdefault(class_, []).append(spot)
    seen = []
    for scope in dict.fromkeys((result.sink, result.table) for result in report.results):
        results = [result for result in report.results if (result.sink, result.table) == scope]
        mine = spots.get(scope, {})
        whole = sum(result.different for result in results) == sum(map(len, mine.values()))
        sure = all(not result.reason and result.verdict != "undecided" for result in results)
        seen.append(Seen(*scope, mine, sure, whole))
    return seen


def _found(findings: Mapping[str, Sequence[tuple[Side, Finding]]]) -> Iterator[tuple[Scope, Class, Spot]]:
    for found in findings.values():
        for side, finding in found:
            target = side.target
            spot = Spot(named(target, finding.key.values), target.name, finding.place)
            yield (target.sink, target.table), finding.found.class_, spot


def _listed(report: Report) -> Iterator[tuple[Scope, Class, Spot]]:
    for result in report.results:
        for one in result.differences:
            yield (result.sink, result.table), one.class_, Spot(one.key, result.place)


def keys_of(
    spots: Iterable[tuple[Scope, Spot]], schemas: Mapping[str, TableSchema]
) -> tuple[dict[str, dict[Key, dict[Where, list[str]]]], dict[Scope, set[bytes]]]:
    """What an audit of these rows is asked for, and what it will have looked at. A row whose table nobody has published
    a schema of, or whose key is none of it, is left out."""
    keys: dict[str, dict[Key, dict[Where, list[str]]]] = {}
    looked: dict[Scope, set[bytes]] = {}
    for scope, spot in spots:
        sink, table = scope
        schema = schemas.get(table)
        if schema is None or set(spot.key) != set(schema.key):
            continue
        places = keys.setdefault(table, {}).setdefault(key_of(schema, spot.key), {})
        places.setdefault((sink, spot.target), []).extend(() if spot.place is None else (spot.place,))
        looked.setdefault(scope, set()).add(spot.id)
    return keys, looked


def entry_of(
    id_: str, why: Why, began_ms: int, report: Report, *, tables: Collection[str], sinks: Collection[str]
) -> AuditDetail:
    """An audit that was done."""
    by_sink: dict[str, list[Result]] = {}
    for result in report.results:
        by_sink.setdefault(result.sink, []).append(result)
    return AuditDetail(
        id=id_,
        depth=report.depth,
        why=why,
        began_ms=began_ms,
        seconds=report.seconds,
        position=report.position,
        verdict=report.verdict,
        rows=sum(result.source_rows for result in report.results),
        different=sum(result.different for result in report.results),
        undecided=sum(result.undecided for result in report.results),
        by_sink={sink: overall(results) for sink, results in by_sink.items()},
        report=report,
        tables=list(tables),
        sinks=list(sinks),
    )


def undone(audit: Audit, seconds: float, sinks: Collection[str], reason: str) -> AuditDetail:
    """An audit that could not be done: nothing is known."""
    return AuditDetail(
        id=audit.id,
        depth=audit.depth,
        why=audit.why,
        began_ms=audit.began_ms,
        seconds=round(seconds, 3),
        verdict="undecided",
        by_sink=dict.fromkeys(sinks, "undecided"),
        reason=reason,
        sinks=list(sinks),
    )


def sampled(targets: Iterable[Target]) -> set[Scope]:
    """The scopes of which quick audits look at a sample: those whose store may drop rows."""
    return {(target.sink, target.table) for target in targets if target.keep == "cache"}
