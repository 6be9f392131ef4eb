"""One stream through one reader, or through both: what came out, and what is wrong with that."""

from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import Any

from changes.errors import TailraceError
from changes.gtid import MariadbGtids, MysqlGtids
from changes.topology import Topology, load
from streams.binlog import events
from streams.binlog.charsets import Collations
from streams.capture.batch import Beginning, Reader
from streams.capture.engine import native_module
from streams.capture.layouts import Layouts
from streams.capture.native import NativeReader
from streams.capture.plain import PlainReader
from tools.fuzz.seeds import Seed

READERS = ("python", "native")
_NOW_MS = 1_767_323_045_010
_UNREADABLE = "cannot be read"


@dataclass
class Told:
    """Everything that a reader told, and in which words it ended, empty where it did not."""

    records: list[Any] = field(default_factory=list)
    changes: list[Any] = field(default_factory=list)
    rows: int = 0
    ended: str = ""


@cache
def topology(database: str, table: str) -> Topology:
    text = (
        f"versions:\n  future: {{database: {database}, env: FUTURE_}}\n"
        f"tables:\n  - table: {table}\n    key: [id]\n"
        f"    sinks:\n      - {{sink: redis, tier: realtime, place: '{table}:{{id}}'}}\n"
    )
    return load(text, "topics.yaml", {"redis": lambda target: None})


@cache
def _native() -> ModuleType:
    module = native_module({"TAILRACE_ENGINE": "native"})
    assert module is not None  # noqa: S101 -- asked for by name, it is there or `native_module` raises
    return module


class World:
    """What both readers are told before they begin on a stream of ``seed``."""

    def __init__(self, seed: Seed) -> None:
        self._topology = topology(seed.database, seed.table)
        self._collations = Collations(seed.collations, of_geometry=seed.mariadb)
        self._executed = MariadbGtids() if seed.mariadb else MysqlGtids()

    def reader(self, name: str) -> Reader:
        layouts = Layouts(self._topology, "future", self._collations)
        beginning = Beginning(self._executed, 1, 77, "bin.000001", 4)
        if name == "python":
            return PlainReader(layouts, beginning, clock=lambda: _NOW_MS)
        return NativeReader(_native(), layouts, beginning, clock=lambda: _NOW_MS)

    def told(self, name: str, chunks: list[bytes]) -> Told:
        """Raises whatever a reader may not: everything but `TailraceError`."""
        told = Told()
        try:
            for read in self.reader(name).read(memoryview(chunk) for chunk in chunks):
                told.records += read.batch.messages(0, len(read.batch))
                told.changes += read.batch.changes()
                told.rows += read.batch.rows
        except TailraceError as error:
            # of bytes that do not fit, each reader says in its own words what does not
            told.ended = _UNREADABLE if _UNREADABLE in str(error) else str(error)
        return told


def wrong(world: World, readers: tuple[str, ...], chunks: list[bytes], *, compressed: bool) -> str:
    """What is wrong with how ``readers`` took the stream, empty where nothing is.

    Of a compressed transaction that is broken one reader may see more than the other before it ends: two
    decompressors agree on what is whole only.
    """
    found = [world.told(name, chunks) for name in readers]
    if len(found) < 2:
        return ""
    plain, native = found
    count = min(len(plain.records), len(native.records))
    if plain.records[:count] != native.records[:count]:
        return "the readers tell different records"
    if compressed and _UNREADABLE in (plain.ended, native.ended):
        return ""
    if plain != native:
        return f"the readers end differently: {plain.rows} rows, `{plain.ended}`; {native.rows} rows, `{native.ended}`"
    return ""


def is_compressed(made: list[bytes]) -> bool:
    return any(data[4:5] == bytes([events.PAYLOAD]) for data in made)
