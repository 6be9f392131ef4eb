"""Both readers on a real server's binlog: every type, every kind of change, compressed and not, give the same bytes."""

from collections.abc import Iterator
from typing import Any, Protocol

import pytest
from streams_every import EVERY
from streams_logged import sent
from streams_readers import NATIVE, Outcome, World, cut, topology

from changes.gtid import MysqlGtids
from changes.progress import Partial
from streams.binlog import events
from streams.binlog.charsets import Collations
from streams.binlog.packets import Packets
from streams.capture.batch import Limits
from streams.capture.snapshot import binlog_end
from streams.describe import collations_of
from streams.mysql import MysqlUrl, session

pytestmark = NATIVE

DATABASE = "both_readers"


class Running(Protocol):
    """The stack that the session shares."""

    admin: dict[str, dict[str, str]]


def work(cursor: Any) -> None:
    """Changes of every kind. Statements run one by one, each a transaction where none is open."""
    names = ", ".join(f"`{name}`" for name in ("id", *EVERY))
    count = max(len(values) for _, values in EVERY.values())
    for number in range(count):
        literals = [values[number % len(values)][0] for _, values in EVERY.values()]
        cursor.execute(f"INSERT INTO {DATABASE}.t ({names}) VALUES ({number}, {', '.join(literals)})")
    cursor.execute(f"INSERT INTO {DATABASE}.t SELECT * FROM (SELECT * FROM {DATABASE}.t) s WHERE FALSE")
    cursor.execute(f"CREATE TABLE {DATABASE}.passed_over (id INT PRIMARY KEY)")
    for compressed in ("OFF", "ON"):
        cursor.execute(f"SET SESSION binlog_transaction_compression = {compressed}")
        cursor.execute(f"UPDATE {DATABASE}.t SET whole = id, doc = JSON_OBJECT('n', id, 'list', JSON_ARRAY(1, 'é'))")
        cursor.execute(f"UPDATE {DATABASE}.t SET id = id + 1000 WHERE id < 10")
        cursor.execute("BEGIN")
        cursor.execute(f"INSERT INTO {DATABASE}.passed_over VALUES (UUID_SHORT() % 1000000000)")
        cursor.execute(f"INSERT INTO {DATABASE}.t (id, text3) VALUES (90001, REPEAT('é😀\"', 20000)), (90002, NULL)")
        cursor.execute(f"UPDATE {DATABASE}.t SET text3 = REPEAT('b', 100000) WHERE id > 90000")
        cursor.execute("COMMIT")
        cursor.execute(f"DELETE FROM {DATABASE}.t WHERE id > 90000")
        cursor.execute(f"DELETE FROM {DATABASE}.t WHERE id >= 1000")
        cursor.execute(f"ALTER TABLE {DATABASE}.t ADD COLUMN after_{compressed.lower()} INT DEFAULT 7")
    cursor.execute(f"INSERT INTO {DATABASE}.t (id) VALUES (5000)")


@pytest.fixture(scope="module")
def logged(stack: Running) -> Iterator[tuple[str, bytes, Collations]]:
    """The GTIDs executed before the work, and its binlog as the server sends it."""
    root = MysqlUrl.parse(stack.admin["future"]["mysql"])
    with session(root) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
        try:
            columns = ", ".join(f"`{name}` {type_}" for name, (type_, _) in EVERY.items())
            cursor.execute(f"CREATE TABLE {DATABASE}.t (id INT PRIMARY KEY, {columns})")
            cursor.execute("SELECT @@global.gtid_executed")
            start = str((cursor.fetchone() or ("",))[0]).replace("\n", "")
            cursor.execute("SET sql_mode = '', time_zone = '+00:00'")
            work(cursor)
            yield start, sent(root, MysqlGtids(start), *binlog_end(cursor)), collations_of(connection)
        finally:
            cursor.execute(f"DROP DATABASE {DATABASE}")


def both(logged: tuple[str, bytes, Collations], size: int, **more: Any) -> tuple[Outcome, Outcome]:
    start, raw, collations = logged
    world = World(topology(DATABASE, "t", drop=more.pop("drop", ())), collations, MysqlGtids(start), **more)
    plain, native = world.outcomes(list(cut(raw, size)))
    assert plain.error is None
    return plain, native


def assert_same(plain: Outcome, native: Outcome) -> None:
    for number, (wanted, found) in enumerate(zip(plain.records, native.records, strict=True)):
        assert found == wanted, f"record {number}"
    assert native.changes == plain.changes
    assert native.sums == plain.sums
    assert native.keys == plain.keys
    assert (native.finished, native.altered, native.rows) == (plain.finished, plain.altered, plain.rows)
    assert native.states[-1] == plain.states[-1]


@pytest.mark.parametrize("size", [1 << 20, 4099])
def test_every_type_and_every_kind_of_change_gives_the_same_bytes(
    logged: tuple[str, bytes, Collations], size: int
) -> None:
    plain, native = both(logged, size)
    assert_same(plain, native)
    assert {op for _, _, value, _, _ in plain.records for op in "cud" if f'"op":"{op}"'.encode() in (value or b"")} == {
        *"cud"
    }
    assert len(plain.altered) >= 2
    assert len({layout for layout, *_ in plain.records}) >= 3


def test_dropped_columns_are_dropped_by_both(logged: tuple[str, bytes, Collations]) -> None:
    plain, native = both(logged, 1 << 20, drop=("doc", "tiny", "last"))
    assert_same(plain, native)
    assert not any(b'"doc"' in (value or b"") for _, _, value, _, _ in native.records)


def test_a_value_too_large_is_shortened_by_both(logged: tuple[str, bytes, Collations]) -> None:
    limits = Limits(largest_message=150_000)
    plain, native = both(logged, 1 << 20, limits=limits)
    assert_same(plain, native)
    whole, _ = both(logged, 1 << 20)
    assert whole.records != plain.records


def test_small_batches_hold_the_same_and_may_end_inside_a_transaction(logged: tuple[str, bytes, Collations]) -> None:
    plain, native = both(logged, 1 << 20, limits=Limits(full=20_000))
    assert_same(plain, native)
    inside = [state for state in native.states if state["inside"]]
    assert inside
    assert all(state["done"] for state in inside if state["gtid"] == inside[-1]["gtid"])


def test_half_a_transaction_that_is_in_kafka_is_passed_over_by_both(logged: tuple[str, bytes, Collations]) -> None:
    """The first transaction that both meet again, resumed in the middle of its rows."""
    whole, _ = both(logged, 1 << 20, limits=Limits(full=20_000))
    state = next(state for state in whole.states if state["inside"] and state["done"])
    start, raw, collations = logged
    executed = MysqlGtids(start)
    for origin, first, last in whole.finished:
        if state["gtid"].startswith(origin):
            executed.extend(origin, first, min(last, int(state["gtid"].rpartition(":")[2]) - 1))
    again = from_transaction(raw, state["gtid"])
    partial = Partial(state["gtid"], state["done"])
    plain, native = World(topology(DATABASE, "t"), collations, executed, partial).outcomes([again])
    assert_same(plain, native)
    assert plain.records == whole.records[-len(plain.records) :]
    assert 0 < len(plain.records) < len(whole.records)


def from_transaction(raw: bytes, gtid: str) -> bytes:
    """The packets of ``raw`` from that transaction's first one on, behind the file's name."""
    kept: list[bytes] = []
    found = False
    for packet in Packets().feed(raw):
        event = events.without_checksum(packet[1:])
        head = events.header(event)
        if head.type == events.GTID and events.gtid(event)[0] == gtid:
            found = True
        if found or head.type == events.ROTATE:
            kept.append(len(packet).to_bytes(3, "little") + b"\0" + packet)
    return b"".join(kept)
