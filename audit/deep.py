"""The deep audit in its simple form: writers paused, every row of every store compared with MySQL by value.

The source is read in one consistent view. If MySQL commits anything meanwhile the verdict can only be *undecided*: this
form cannot tell a late row from a wrong one.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pymysql.cursors import SSCursor

from audit.compare import Comparison, Expectation, differing, judge, left_over, named
from audit.report import Difference, Report, Result, Verdict, overall
from changes.canonical import Value, compiled
from changes.errors import Misconfigured, Rejected, Transient
from changes.key import Key, key_of
from changes.schema import TableSchema
from changes.target import Target
from changes.topology import Topology
from sinks.contract import Sink
from sinks.registry import SPECS
from streams.capture.select import TEXT_PROTOCOL, reader_of, select_after
from streams.describe import captured, tables_of
from streams.mysql import Connection, MysqlUrl, session
from streams.watch import committed_ordinal

_PAGE = 2000


async def check(
    topology: Topology,
    version: str,
    mysql: MysqlUrl,
    endpoints: Mapping[str, str],
    *,
    position: str,
    tables: Sequence[str] = (),
    sinks: Sequence[str] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """``position`` is where capture stood when every lane had passed it; ``progress`` gets each table's name."""
    began = time.monotonic()
    targets = [
        target
        for target in topology.targets(version)
        if (not tables or target.table in tables) and (not sinks or target.sink in sinks)
    ]
    before = await asyncio.to_thread(committed_ordinal, mysql)
    opened = {name: SPECS[name].build(endpoints[SPECS[name].endpoint]) for name in {t.sink for t in targets}}
    results: list[Result] = []
    try:
        for table in dict.fromkeys(target.table for target in targets):
            progress(table)
            mine = [target for target in targets if target.table == table]
            results += await _table(topology, mysql, table, mine, opened)
    finally:
        for sink in opened.values():
            await sink.close()
    if await asyncio.to_thread(committed_ordinal, mysql) != before:
        results = [_unsure(result) for result in results]
    return Report(overall(results), version, position, "deep", round(time.monotonic() - began, 3), results)


def _unsure(result: Result) -> Result:
    return Result(
        sink=result.sink,
        table=result.table,
        place=result.place,
        verdict="undecided",
        source_rows=result.source_rows,
        sink_rows=result.sink_rows,
        compared=result.compared,
        undecided=result.source_rows,
        different=0,
        differences=[],
        reason="MySQL was written to meanwhile",
    )


async def _table(
    topology: Topology, mysql: MysqlUrl, table: str, targets: Sequence[Target], opened: Mapping[str, Sink]
) -> list[Result]:
    expected = await asyncio.to_thread(_expectations, topology, mysql, table, targets)
    return [await _target(mysql, one, opened[one.target.sink]) for one in expected]


def _expectations(topology: Topology, mysql: MysqlUrl, table: str, targets: Sequence[Target]) -> list[Expectation]:
    declared = topology.tables[table]
    with session(mysql, conv=TEXT_PROTOCOL, cursorclass=SSCursor) as connection:
        full, schema = _schema(connection, targets[0].database, table, declared.columns.drop, tuple(declared.key))
        expected = [Expectation(target, schema) for target in targets]
        hash_whole = compiled(schema.columns)
        for row in _scan(connection, full, schema.key):
            key, whole = key_of(schema, row), hash_whole(row)
            for one in expected:
                one.add(_place(one.target, row), key, row, whole)
    return expected


def _place(target: Target, row: Mapping[str, Value]) -> str:
    """Where the row should be; a row that has no place in the store was parked, and is missed there."""
    try:
        return SPECS[target.sink].place_of(target, row)
    except Rejected:
        return ""


def _schema(
    connection: Connection, database: str, table: str, dropped: Sequence[str], key: tuple[str, ...]
) -> tuple[TableSchema, TableSchema]:
    """The whole table, and the part of it that is captured."""
    described = tables_of(connection, database, [table])
    if table not in described:
        raise Misconfigured(f"`{database}` has no table `{table}`")
    full = described[table][0]
    return full, captured(full, key, frozenset(dropped))


def _scan(connection: Connection, full: TableSchema, key: tuple[str, ...]) -> Iterator[dict[str, Value]]:
    sql, arguments = select_after(full, key, None, None)
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)
        yield from _rows(cursor, full)


def _rows(cursor: Any, full: TableSchema) -> Iterator[dict[str, Value]]:
    names = [column.name for column in full.columns]
    readers = [reader_of(column) for column in full.columns]
    while page := cursor.fetchmany(_PAGE):
        for row in page:
            yield {
                name: None if value is None else read(value)
                for name, read, value in zip(names, readers, row, strict=True)
            }


async def _target(mysql: MysqlUrl, expected: Expectation, sink: Sink) -> Result:
    tally = Comparison()
    target = expected.target
    try:
        await sink.open([(target, expected.schema)])
        async for stored in sink.rows(target, expected.schema):
            judge(expected, stored, tally)
    except Transient as error:
        return _result(expected, tally, "undecided", expected.source_rows, str(error))
    missing = set(left_over(expected))
    explain = {stored.key.canonical: stored for stored in tally.suspects}
    if missing or explain:
        await asyncio.to_thread(_explain, mysql, expected, missing, explain, tally)
    return _result(expected, tally, "different" if tally.different else "equal", 0, "")


def _explain(
    mysql: MysqlUrl, expected: Expectation, missing: set[bytes], altered: Mapping[bytes, Any], tally: Comparison
) -> None:
    """Read the rows in question again, to name the key of a missing one and the columns of an altered one."""
    target, schema = expected.target, expected.schema
    with session(mysql, conv=TEXT_PROTOCOL, cursorclass=SSCursor) as connection:
        for row in _scan(connection, schema, schema.key):
            key: Key = key_of(schema, row)
            if key.canonical in missing:
                tally.note("missing", named(target, key.values), [])
            elif key.canonical in altered:
                stored = altered[key.canonical]
                columns = differing(target.columns(schema), row, stored.row)
                tally.note("altered", named(target, key.values), columns)


def _result(expected: Expectation, tally: Comparison, verdict: Verdict, undecided: int, reason: str) -> Result:
    found: list[Difference] = tally.found
    return Result(
        sink=expected.target.sink,
        table=expected.target.table,
        place=expected.target.place,
        verdict=verdict,
        source_rows=expected.source_rows,
        sink_rows=tally.sink_rows,
        compared=tally.compared,
        undecided=undecided,
        different=tally.different,
        differences=found,
        reason=reason,
    )
