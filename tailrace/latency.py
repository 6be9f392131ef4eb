"""The time from commit to visible, measured at the stores themselves with probe rows."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from typing import Any

from changes.errors import Misconfigured, Transient
from changes.key import Key, key_of
from changes.schema import TableSchema
from changes.target import Target
from changes.topology import Topology
from sinks.contract import Sink
from sinks.registry import SPECS
from streams.deliver.schemas import SchemaBook
from streams.kafka import KafkaUrl
from streams.mysql import Connection, MysqlUrl, connect
from tailrace.example.traffic import Traffic

PROBED = {"jobs": "title", "resumes": "title", "dao_proposals": "title", "company_ratings": "agency"}
"""Tables of the example that may hold a probe row, each with the text that is changed in it."""
FIRST = 4_000_001
"""The least id of a probe row: the generator and the traffic number theirs from 1."""
SLOWEST = 600.0
"""A tier that may gather changes for longer than this (seconds) is left out: nobody waits for an hour."""

_PAUSE_SECONDS = 0.05
_LOST_SECONDS, _MADE_SECONDS = 10.0, 60.0
"""What is made of rows waits for models, and for the rows before."""
_OFTEN, _LOOKS = 0.001, 50
"""A store is looked at so many times in the time for which its tier gathers, and at most each millisecond: to look at
ten stores without a pause would take what they need to keep up."""


@dataclass(frozen=True)
class Probe:
    """One row for one target of one store."""

    target: Target
    schema: TableSchema
    id: int
    key: Key
    place: str


def measure(
    topology: Topology,
    version: str,
    endpoints: Mapping[str, str],
    *,
    rate: float,
    seconds: float,
    derived: bool = True,
) -> dict[str, Any]:
    """Quantiles in milliseconds for each store, of rows and (``<store> <enricher>``) of what is made of them, which
    can be left out.

    ``rate`` is the other traffic's, in changes a second. Raises `Transient` where a probe is not visible within ten
    seconds (a minute for what is made of it) and twice what its tier is to be fresh in: no pipeline runs, or it stands.
    """
    traffic = Traffic(endpoints["mysql"], rate=rate, seed=20250913) if rate > 0 else None
    with closing(connect(MysqlUrl.parse(endpoints["mysql"]))) as mysql:
        targets = topology.every_target(version) if derived else topology.targets(version)
        probes = _probes(targets, version, KafkaUrl.parse(endpoints["kafka"]), mysql)
        if traffic is not None:
            traffic.start()
        try:
            times = asyncio.run(_all(probes, endpoints, seconds))
        finally:
            if traffic is not None:
                traffic.stop()
            _remove(mysql, probes)
    return {
        "rate": traffic.stats().rate if traffic is not None else 0.0,
        "stores": {name: _quantiles(sorted(found)) for name, found in times.items()},
    }


def _quantiles(ordered: list[float]) -> dict[str, float]:
    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2)

    return {
        "probes": len(ordered),
        "p50_ms": at(0.5),
        "p90_ms": at(0.9),
        "p99_ms": at(0.99),
        "max_ms": round(ordered[-1], 2),
    }


def _probes(targets: Sequence[Target], version: str, kafka: KafkaUrl, mysql: Connection) -> list[Probe]:
    """A row of its own for the first target of each store, and for the first of what is made there."""
    chosen: dict[tuple[str, bool], Target] = {}
    for target in targets:
        if target.source in PROBED and target.tier.flush <= SLOWEST:
            chosen.setdefault((target.sink, target.of is not None), target)
    schemas = SchemaBook(kafka, version)
    schemas.refresh()
    latest = schemas.latest()
    found = []
    for number, target in enumerate(chosen.values()):
        if (schema := latest.get(target.table)) is None:
            raise Misconfigured(f"nothing has been captured of `{target.table}` yet: is the pipeline running?")
        row = _plant(mysql, target.source, FIRST + number)
        key = key_of(schema, row)
        found.append(Probe(target, schema, FIRST + number, key, SPECS[target.sink].place_of(target, row)))
    return found


def _plant(mysql: Connection, table: str, id_: int) -> dict[str, Any]:
    """A copy of the table's first row under another id; its columns as MySQL's driver has them."""
    with mysql.cursor() as cursor:
        cursor.execute(f"DELETE FROM `{table}` WHERE id = %s", (id_,))  # noqa: S608 - a name of ours
        cursor.execute(f"SELECT * FROM `{table}` ORDER BY id LIMIT 1")  # noqa: S608
        row = cursor.fetchone()
        if row is None:
            raise Misconfigured(f"`{table}` is empty: load the example first")
        columns = [one[0] for one in cursor.description or ()]
        values = dict(zip(columns, row, strict=True)) | {"id": id_}
        names, marks = ", ".join(f"`{name}`" for name in values), ", ".join(["%s"] * len(values))
        cursor.execute(f"INSERT INTO `{table}` ({names}) VALUES ({marks})", list(values.values()))  # noqa: S608
    return values


def _remove(mysql: Connection, probes: Sequence[Probe]) -> None:
    with mysql.cursor() as cursor:
        for probe in probes:
            cursor.execute(f"DELETE FROM `{probe.target.source}` WHERE id = %s", (probe.id,))  # noqa: S608


async def _all(probes: Sequence[Probe], endpoints: Mapping[str, str], seconds: float) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {}
    async with AsyncExitStack() as leaving, asyncio.TaskGroup() as group:
        for probe in probes:
            sink = SPECS[probe.target.sink].build(endpoints[SPECS[probe.target.sink].endpoint])
            leaving.push_async_callback(sink.close)
            await sink.open([(probe.target, probe.schema)])
            name = probe.target.sink if probe.target.of is None else f"{probe.target.sink} {probe.target.of}"
            times[name] = []
            group.create_task(_one(probe, sink, MysqlUrl.parse(endpoints["mysql"]), seconds, times[name]))
    return times


async def _one(probe: Probe, sink: Sink, url: MysqlUrl, seconds: float, times: list[float]) -> None:
    """Change the row, look until the store shows another position than before, and again."""
    mysql = await asyncio.to_thread(connect, url)
    try:
        before = await _until(probe, sink, -1)
        end = time.monotonic() + seconds
        while time.monotonic() < end or not times:
            committed = await asyncio.to_thread(_commit, mysql, probe)
            before = await _until(probe, sink, before)
            times.append((time.monotonic() - committed) * 1000)
            await asyncio.sleep(_PAUSE_SECONDS)
    finally:
        mysql.close()


def _commit(mysql: Connection, probe: Probe) -> float:
    """Change the probe row; the moment at which MySQL had said that it is committed."""
    table, column = probe.target.source, PROBED[probe.target.source]
    with mysql.cursor() as cursor:
        cursor.execute(
            f"UPDATE `{table}` SET `{column}` = %s WHERE id = %s",  # noqa: S608 - names of ours
            (f"probe {time.time_ns()}", probe.id),
        )
    return time.monotonic()


async def _until(probe: Probe, sink: Sink, before: int) -> int:
    """The position under which the row is stored, as soon as that is another than ``before``."""
    tier = probe.target.tier
    patience = (_LOST_SECONDS if probe.target.of is None else _MADE_SECONDS) + 2 * tier.fresh
    deadline = time.monotonic() + patience
    while True:
        (found,) = await sink.read(probe.target, probe.schema, [(probe.place, probe.key)])
        if found is not None and found.position > before:
            return found.position
        if time.monotonic() > deadline:
            raise Transient(
                f"the probe was not visible as `{probe.target.name}` of {probe.target.sink} within {patience:.0f} s:"
                " does the pipeline run?"
            )
        await asyncio.sleep(max(_OFTEN, tier.flush / _LOOKS))
