"""The SQL that writes and reads one table, as bytes with the values in it: no I/O.

A batch is written in three steps behind the locks of `lock`: look which of its keys have a row or a tombstone that is
newer, leave those records out, write the rest. Affected-row counts would not tell which records landed: they are
ambiguous where one statement holds many. Every step is a statement for the whole portion; the upsert is guarded as
well, so that no row is replaced by an older one even if somebody wrote it without the locks.

Keys and values are literals under the sql_mode of `MODE`, names are delimited by double quotes.
"""

# ruff: noqa: S608  the text is made here, of quoted identifiers and literals

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from changes.errors import Rejected
from changes.key import Key
from changes.record import RESERVED, Record
from sinks.sql.locks import every_lock, locks
from sinks.sql.mysql.ddl import LOCK_TABLE, META_TABLE, SIDE_TABLE, base
from sinks.sql.mysql.types import bytes_literal, literal, text_literal
from sinks.sql.table import Table, quoted

MODE = "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ALLOW_INVALID_DATES,NO_BACKSLASH_ESCAPES,ANSI_QUOTES"
"""What is no value of its column is refused, but for the dates that a source may hold: with zeros, or of no month."""

USUAL = 4 << 20
"""Bytes that a statement of several items is cut at."""

EXPIRED = 10_000
"""Tombstones that one statement of `expire` deletes at most."""

Ends = tuple[bytes, bytes]
"""What stands before and behind the items of a statement."""


@dataclass(frozen=True)
class Statements:
    """The texts for one table. The items of ``upsert`` are rows: the columns and the reserved fields in brackets;
    those of the others are keys. ``newer`` gives key, generation and position of the rows that may be beyond a record:
    its last two marks are the least generation and position among them. ``read`` and ``scan`` give the columns,
    position, hash halves, mapping, generation.
    """

    upsert: Ends
    newer: tuple[bytes, str]
    delete: Ends
    read: Ends
    scan: str


@lru_cache(maxsize=256)
def statements_of(table: Table) -> Statements:
    name, keys = base(table), ", ".join(quoted(table.key))
    among = f"{f'({keys})' if len(table.key) > 1 else keys} IN ("
    scan = f"SELECT {', '.join((*quoted(table.columns), *_SHOWN))} FROM {name}"
    return Statements(
        upsert=_upsert(table),
        newer=(
            f"SELECT {keys}, _tr_gen, _tr_pos FROM {name} WHERE {among}".encode(),
            ") AND (_tr_gen > %d OR _tr_pos > %d)",
        ),
        delete=(f"DELETE FROM {name} WHERE {among}".encode(), b")"),
        read=(f"{scan} WHERE {among}".encode(), b")"),
        scan=scan,
    )


_SHOWN = ("_tr_pos", "_tr_h1", "_tr_h2", "_tr_map", "_tr_gen")


def _upsert(table: Table) -> Ends:
    """MySQL assigns from left to right and reads what it has assigned: what the guard reads comes last, the position
    before the generation. With the new position and the old generation the guard still says what it said."""
    name = base(table)
    columns = [*quoted(table.columns), *RESERVED]
    changed = [*quoted(table.values), "_tr_h1", "_tr_h2", "_tr_bucket", "_tr_map", "_tr_pos", "_tr_gen"]
    guard = f"({name}._tr_gen, {name}._tr_pos) <= (_tr_u._tr_gen, _tr_u._tr_pos)"
    assigned = ", ".join(f"{column} = IF({guard}, _tr_u.{column}, {name}.{column})" for column in changed)
    return (
        f"INSERT INTO {name} ({', '.join(columns)}) VALUES ".encode(),
        f" AS _tr_u ON DUPLICATE KEY UPDATE {assigned}".encode(),
    )


def newer(table: Table, keys: Sequence[bytes], records: Sequence[Record], longest: int) -> list[bytes]:
    """What finds the rows of ``records``, whose ``keys`` are given, that may be beyond them."""
    head, tail = statements_of(table).newer
    least = (min(record.generation for record in records), min(record.position for record in records))
    return chunks((head, (tail % least).encode()), keys, longest)


def graves(target: str, keys: Sequence[bytes], longest: int) -> list[bytes]:
    """What finds the tombstones of rows by their keys' canonical bytes: these, generation and position of each."""
    return chunks(_graves('SELECT "key", gen, pos', target), [bytes_literal(key) for key in keys], longest)


def dig_up(target: str, keys: Sequence[bytes], longest: int) -> list[bytes]:
    """What deletes the tombstones of rows by their keys' canonical bytes."""
    return chunks(_graves("DELETE", target), [bytes_literal(key) for key in keys], longest)


def bury(target: str, records: Sequence[Record], longest: int) -> list[bytes]:
    """What makes the tombstones of ``records``, or makes them newer."""
    name = text_literal(target)
    rows = [
        b"(%b,%b,%d,%d,%d)"
        % (name, bytes_literal(record.key.canonical), record.position, record.key.bucket, record.generation)
        for record in records
    ]
    guard = f"({SIDE_TABLE}.gen, {SIDE_TABLE}.pos) <= (u.gen, u.pos)"
    assigned = [f"seen_at = IF({guard}, CURRENT_TIMESTAMP, {SIDE_TABLE}.seen_at)"]
    assigned += [f"{column} = IF({guard}, u.{column}, {SIDE_TABLE}.{column})" for column in ("pos", "gen")]
    head = f'INSERT INTO {SIDE_TABLE} (target, "key", pos, bucket, gen) VALUES '
    return chunks((head.encode(), f" AS u ON DUPLICATE KEY UPDATE {', '.join(assigned)}".encode()), rows, longest)


def _graves(verb: str, target: str) -> Ends:
    return f"{verb} FROM {SIDE_TABLE} WHERE target = ".encode() + text_literal(target) + b' AND "key" IN (', b")"


def forget(table: Table, key: bytes, record: Record) -> list[bytes]:
    """What forgets the position of a row, and its tombstone, where they are stored under exactly ``record.over``."""
    head, tail = statements_of(table).delete
    same = head.removeprefix(f"DELETE FROM {base(table)}".encode())
    head, end = _graves("DELETE", table.target.name)
    return [
        f"UPDATE {base(table)} SET _tr_pos = 0, _tr_gen = 0".encode()
        + same
        + key
        + tail
        + b" AND _tr_pos = %d" % record.over,
        head + bytes_literal(record.key.canonical) + end + b" AND pos = %d" % record.over,
    ]


def lock(records: Sequence[Record]) -> bytes:
    """What locks a batch's rows of the lock table until its transaction ends, and makes those that are not there."""
    return _lock(locks(records))


def lock_every(targets: Iterable[str]) -> bytes:
    """`lock` for all rows of some targets."""
    return _lock(every_lock(targets))


def _lock(wanted: Iterable[tuple[int, int]]) -> bytes:
    pairs = ", ".join(f"({target}, {part})" for target, part in wanted)
    same = f"part = {LOCK_TABLE}.part"
    return f"INSERT INTO {LOCK_TABLE} (target, part) VALUES {pairs} ON DUPLICATE KEY UPDATE {same}".encode()


def key_literals(table: Table, keys: Sequence[Key]) -> list[bytes]:
    """Keys as items of statements. Raises `Rejected` where MySQL cannot hold one."""
    encoders = [literal(column) for column in table.key]
    if len(encoders) == 1:
        return [encoders[0](key.values[0]) for key in keys]
    return [
        b"(%b)" % b",".join([encode(value) for encode, value in zip(encoders, key.values, strict=True)]) for key in keys
    ]


def chunks(ends: Ends, items: Sequence[bytes], longest: int) -> list[bytes]:
    """Statements that hold all ``items``, none of more than ``longest`` bytes, the server's `max_allowed_packet`.

    Raises `Rejected` where an item alone makes one that is.
    """
    head, tail = ends
    around = len(head) + len(tail)
    statements, start, size = [], 0, around
    for index, item in enumerate(items):
        if around + len(item) >= longest:
            raise Rejected(
                f"MySQL: {len(item)} bytes are more than its `max_allowed_packet`, {longest}, lets through at a time"
            )
        if index > start and size + len(item) >= min(USUAL, longest):
            statements.append(head + b",".join(items[start:index]) + tail)
            start, size = index, around
        size += len(item) + 1
    if start < len(items):
        statements.append(head + b",".join(items[start:]) + tail)
    return statements


def some(table: Table, buckets: Collection[int]) -> str:
    """`Statements.scan` of some buckets, one at least."""
    return f"{statements_of(table).scan} WHERE _tr_bucket IN ({', '.join(map(str, buckets))})"


def sums(table: Table, upto: int) -> str:
    """For each bucket: itself, how many rows there are up to a position, the sums of their hashes' halves, and how
    many there are beyond it. All of it stands in the index `sinks.sql.mysql.ddl.SUMS`, in this order."""
    upto_it = f"_tr_pos <= {upto}"
    return (
        f"SELECT _tr_bucket, SUM({upto_it}), SUM(IF({upto_it}, _tr_h1, 0)), SUM(IF({upto_it}, _tr_h2, 0)),"
        f" SUM(_tr_pos > {upto}) FROM {base(table)} GROUP BY _tr_bucket"
    )


def beyond(table: Table, upto: int) -> str:
    """Key and bucket of each row behind a position."""
    return f"SELECT {', '.join(quoted(table.key))}, _tr_bucket FROM {base(table)} WHERE _tr_pos > {upto}"


def buried_beyond(target: str, upto: int) -> bytes:
    """The tombstones of a target behind a position: key and bucket."""
    return f'SELECT "key", bucket FROM {SIDE_TABLE} WHERE pos > {upto} AND target = '.encode() + text_literal(target)


def expire(target: str, seconds: int) -> bytes:
    """What deletes tombstones that are older than ``seconds``, `EXPIRED` of them at most."""
    return (
        f"DELETE FROM {SIDE_TABLE} WHERE seen_at < CURRENT_TIMESTAMP - INTERVAL {seconds} SECOND AND target = ".encode()
        + text_literal(target)
        + f" LIMIT {EXPIRED}".encode()
    )


def stamped(lane: str, *, lock: bool = False) -> bytes:
    """What reads the stamp of a lane; ``lock`` keeps others from replacing it until the transaction ends."""
    return (
        f"SELECT stamp FROM {META_TABLE} WHERE lane = ".encode()
        + text_literal(lane)
        + (b" FOR UPDATE" if lock else b"")
    )


def stamp(lane: str, text: str) -> bytes:
    return (
        f"INSERT INTO {META_TABLE} (lane, stamp) VALUES (".encode()
        + text_literal(lane)
        + b", "
        + text_literal(text)
        + b") AS u ON DUPLICATE KEY UPDATE stamp = u.stamp"
    )
