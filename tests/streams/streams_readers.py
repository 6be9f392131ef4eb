"""Both readers of the binlog on the same bytes, and what they made of them."""

import importlib.util
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from changes.errors import Misconfigured, TailraceError
from changes.gtid import MariadbGtids, MysqlGtids
from changes.progress import Partial
from changes.topology import Topology, load
from streams.binlog.charsets import Collations
from streams.capture.batch import LIMITS, Beginning, Change, Limits, Read, Reader, Record
from streams.capture.engine import native_module
from streams.capture.layouts import Layouts
from streams.capture.native import NativeReader
from streams.capture.plain import PlainReader
from streams.capture.statements import Meaning
from streams.native import MODULE

NATIVE = pytest.mark.skipif(
    importlib.util.find_spec(MODULE) is None, reason="no native reader here: it is built where `cargo` is"
)
NOW_MS = 1_767_323_045_010


def topology(
    database: str, *tables: str, key: str = "id", drop: Iterable[str] = (), more: Iterable[str] = ()
) -> Topology:
    """``tables`` of one database, captured for a sink that takes anything; ``more`` lines for each of them."""
    lines = [f"versions:\n  future: {{database: {database}, env: FUTURE_}}\ntables:"]
    for table in tables:
        lines.append(f"  - table: {table}\n    key: [{key}]\n    columns: {{drop: [{', '.join(drop)}]}}")
        lines += [f"    {line}" for line in more]
        lines.append("    sinks:\n      - {sink: redis, tier: realtime, place: " + f'"{table}:{{{key}}}"' + "}")
    return load("\n".join(lines), "topics.yaml", {"redis": lambda target: None})


@dataclass
class Outcome:
    """What one reader made of a stream: records in order, everything else that it told, and the error at the end."""

    records: list[Record] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    finished: list[tuple[str, int, int]] = field(default_factory=list)
    altered: list[Meaning] = field(default_factory=list)
    keys: list[tuple[bytes, int]] = field(default_factory=list)
    sums: dict[tuple[int, int], tuple[int, int, int]] = field(default_factory=dict)
    rows: int = 0
    states: list[dict[str, Any]] = field(default_factory=list)
    error: tuple[type[Exception], str] | None = None

    def take(self, read: Read, tables: Iterable[str]) -> None:
        batch = read.batch
        self.records += batch.messages(0, len(batch))
        self.changes += batch.changes()
        for table in tables:
            self.keys += batch.keys(table)
        for origin, first, last in batch.finished:
            goes_on = self.finished and self.finished[-1][0] == origin and self.finished[-1][2] + 1 == first
            begun = self.finished.pop()[1] if goes_on else first
            self.finished.append((origin, begun, last))
        for layout in batch.layouts:
            for bucket, *sums in batch.sums(layout):
                rows, high, low = map(int.__add__, self.sums.get((layout, bucket), (0, 0, 0)), sums)
                self.sums[layout, bucket] = rows, high, low
        self.rows += batch.rows
        if read.altered is not None:
            self.altered.append(read.altered)
        names = ("ordinal", "position", "source_us", "file", "offset", "inside", "gtid", "awaited", "done")
        self.states.append({name: getattr(batch, name) for name in names})


@dataclass(frozen=True)
class World:
    """What both readers are told before they begin."""

    topology: Topology
    collations: Collations
    executed: MysqlGtids | MariadbGtids = field(default_factory=MysqlGtids)
    partial: Partial | None = None
    limits: Limits = LIMITS

    def layouts(self) -> Layouts:
        return Layouts(self.topology, "future", self.collations)

    def readers(self, layouts: Layouts | None = None) -> list[Reader]:
        """The reference, then the native one; with ``layouts`` only one of them may read."""
        module = native_module({"TAILRACE_ENGINE": "native"})  # refuses one that was built from other sources
        assert module is not None
        beginning = Beginning(self.executed, 1, 77, "bin.000001", 4, self.partial)
        return [
            PlainReader(layouts or self.layouts(), beginning, self.limits, lambda: NOW_MS),
            NativeReader(module, layouts or self.layouts(), beginning, self.limits, lambda: NOW_MS),
        ]

    def outcomes(self, chunks: list[bytes]) -> list[Outcome]:
        return [self.outcome(reader, chunks) for reader in self.readers()]

    def outcome(self, reader: Reader, chunks: list[bytes]) -> Outcome:
        outcome = Outcome()
        try:
            for read in reader.read(memoryview(chunk) for chunk in chunks):
                outcome.take(read, self.topology.tables)
        except (TailraceError, ValueError) as error:
            broken = isinstance(error, Misconfigured) and "cannot be read" in str(error)
            # of bytes that do not fit, each reader says in its own words what does not
            outcome.error = (type(error), "cannot be read" if broken else str(error))
        return outcome


def packets(events: Iterable[bytes]) -> bytes:
    """Events as the server sends them."""
    return b"".join(_packets(b"\0" + event) for event in events)


def _packets(body: bytes) -> bytes:
    pieces = [body[at : at + 0xFFFFFF] for at in range(0, len(body) + 1, 0xFFFFFF)]
    return b"".join(len(piece).to_bytes(3, "little") + b"\0" + piece for piece in pieces)


def cut(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]
