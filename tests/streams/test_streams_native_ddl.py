"""DDL and XA in the stream: what the two readers tell of it, and what they hold back."""

from collections.abc import Iterable

import pytest
from streams_events import CAPTURED, COLLATIONS, event
from streams_readers import NATIVE, Outcome, World, packets, topology

from changes.errors import Misconfigured
from changes.gtid import MariadbGtids
from streams.binlog import events
from streams.capture import native, plain
from streams.capture.batch import Limits
from streams.capture.statements import Effect

pytestmark = NATIVE

FIRST, SECOND = CAPTURED["gtid"][:2]
BEGIN, XID, MAP = CAPTURED["query"][0], CAPTURED["xid"][0], CAPTURED["table_map"][0]
ROWS = CAPTURED["write_rows"]
NAME = "X'61',X'62',1"


def query(text: str, database: str = "kinds") -> bytes:
    body = bytes(8) + bytes([len(database)]) + bytes(2) + bytes(2) + database.encode() + b"\0" + text.encode()
    return event(events.QUERY, body, end=5000)


def gtid(number: int) -> bytes:
    data = bytearray(FIRST)
    data[events.HEADER + 17 : events.HEADER + 25] = number.to_bytes(8, "little")
    return bytes(data)


def prepared(*, one_phase: bool) -> bytes:
    return event(events.XA_PREPARE, bytes([one_phase]) + b"".join(n.to_bytes(4, "little") for n in (1, 1, 1)) + b"ab")


def xa(*rows: bytes, one_phase: bool, number: int = 14) -> list[bytes]:
    return [gtid(number), query(f"XA START {NAME}"), *rows, query(f"XA END {NAME}"), prepared(one_phase=one_phase)]


ORDINARY = [gtid(13), BEGIN, MAP, *ROWS, XID]


def same(stream: Iterable[bytes], *, more: tuple[str, ...] = (), tables: tuple[str, ...] = ("everything",)) -> Outcome:
    """What both made of the stream, an event at a time."""
    world = World(topology("kinds", *tables, more=more), COLLATIONS)
    reference, other = world.outcomes([packets([one]) for one in stream])
    assert other.records == reference.records
    assert (other.finished, other.altered, other.rows) == (reference.finished, reference.altered, reference.rows)
    assert other.states[-1:] == reference.states[-1:]
    assert other.error == reference.error
    return reference


def test_ddl_is_told_with_the_tables_it_touched_behind_what_came_before() -> None:
    found = same([*ORDINARY, gtid(14), query("TRUNCATE everything"), gtid(15), query("DROP TABLE nothing")])
    assert [(one.text, dict(one.tables)) for one in found.altered] == [
        ("TRUNCATE everything", {"everything": Effect.REPLACED}),
        ("DROP TABLE nothing", {}),
    ]
    assert [(first, last) for _, first, last in found.finished] == [(13, 15)]
    assert len(found.records) == 3


def test_ddl_ends_a_batch_though_more_is_there() -> None:
    world = World(topology("kinds", "everything"), COLLATIONS)
    stream = packets([*ORDINARY, gtid(14), query("TRUNCATE everything"), gtid(15), *ORDINARY[1:]])
    for reader in world.readers():
        reads = list(reader.read(iter([memoryview(stream)])))
        assert [(len(read.batch), read.batch.ordinal, read.altered is not None) for read in reads] == [
            (3, 2, True),
            (3, 3, False),
        ]


def test_a_table_made_from_a_select_is_told_inside_its_transaction() -> None:
    made = query("CREATE TABLE `everything` (id int) START TRANSACTION")
    found = same([gtid(13), BEGIN, made, MAP, *ROWS, XID])
    assert [dict(one.tables) for one in found.altered] == [{"everything": Effect.CREATED}]
    assert len(found.records) == 3
    assert [(first, last) for _, first, last in found.finished] == [(13, 13)]


def test_ddl_of_a_table_that_is_declared_to_fail_is_refused_behind_what_came_before() -> None:
    stream = [*ORDINARY, gtid(14), query("ALTER TABLE everything ADD COLUMN a INT")]
    found = same(stream, more=("ddl: fail",))
    assert found.error is not None
    assert found.error[0] is Misconfigured
    assert found.error[1].startswith(
        "topics.yaml:7: `ALTER TABLE everything ADD COLUMN a INT`: table `everything` was altered, and it is declared "
        "`ddl: fail`. To follow the statement declare `ddl: lenient` and start again"
    )
    assert len(found.records) == 3
    assert [(first, last) for _, first, last in found.finished] == [(13, 13)]


def test_ddl_that_touches_nothing_passes_where_it_is_declared_to_fail() -> None:
    harmless = [
        query("ALTER TABLE everything ADD INDEX i (id)"),
        query("CREATE TABLE IF NOT EXISTS everything (a INT)"),
    ]
    stream = [gtid(13), harmless[0], gtid(14), harmless[1]]
    assert same(stream, more=("ddl: fail",)).error is None


def test_an_xa_transaction_that_is_committed_in_one_phase_is_captured() -> None:
    found = same([*ORDINARY, *xa(MAP, *ROWS, one_phase=True), gtid(15), *ORDINARY[1:]])
    assert found.error is None
    assert len(found.records) == 9
    assert [(first, last) for _, first, last in found.finished] == [(13, 15)]
    assert found.altered == []


def test_an_xa_transaction_is_held_back_until_it_is_decided() -> None:
    """Its rows come in many pieces, each of them a full batch."""
    world = World(topology("kinds", "everything"), COLLATIONS, limits=Limits(full=1))
    chunks = [packets([one]) for one in [*ORDINARY, *xa(MAP, *ROWS, one_phase=True)[:-1]]]
    for reader in world.readers():
        outcome = world.outcome(reader, chunks)
        assert len(outcome.records) == 3
        assert outcome.error is None
        assert [(first, last) for _, first, last in outcome.finished] == [(13, 13)]


def test_prepared_changes_of_captured_tables_are_refused_and_none_of_them_is_told() -> None:
    found = same([*ORDINARY, *xa(MAP, *ROWS, one_phase=False)])
    assert found.error is not None
    assert "prepares changes of captured tables (XA PREPARE)" in found.error[1]
    assert ":14 prepares" in found.error[1]
    assert len(found.records) == 3
    assert [(first, last) for _, first, last in found.finished] == [(13, 13)]


def test_prepared_changes_of_other_tables_pass_and_so_does_what_is_decided_of_them() -> None:
    for verb in ("COMMIT", "ROLLBACK"):
        stream = [*ORDINARY, *xa(MAP, *ROWS, one_phase=False), gtid(15), query(f"XA {verb} {NAME}")]
        found = same(stream, tables=("others",))
        assert found.error is None
        assert found.records == []
        assert [(first, last) for _, first, last in found.finished] == [(13, 15)]
        assert found.altered == []


def test_a_commit_of_what_was_prepared_before_reads_every_table_again() -> None:
    """It may have been prepared before all that was ever read: then no event told its rows."""
    found = same([*ORDINARY, gtid(14), query(f"XA COMMIT {NAME}")], tables=("everything", "others"))
    assert [dict(one.tables) for one in found.altered] == [{"everything": Effect.CHANGED, "others": Effect.CHANGED}]
    assert [(first, last) for _, first, last in found.finished] == [(13, 14)]
    assert same([*ORDINARY, gtid(14), query(f"XA ROLLBACK {NAME}")]).altered == []


def test_an_xa_transaction_that_does_not_end_is_no_stream() -> None:
    found = same([*ORDINARY, *xa(MAP, *ROWS, one_phase=True)[:-1], gtid(15), *ORDINARY[1:]])
    assert found.error == (Misconfigured, "cannot be read")
    assert len(found.records) == 3


def test_more_than_may_be_held_back_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "LARGEST_XA", 100)
    monkeypatch.setattr(native, "LARGEST_XA", 100)
    found = same([*ORDINARY, *xa(MAP, *ROWS, one_phase=True)])
    assert found.error is not None
    assert "whose rows cannot be held back until it is decided" in found.error[1]
    assert len(found.records) == 3


def maria(number: int, flags: int) -> bytes:
    return event(events.MARIADB_GTID, number.to_bytes(8, "little") + bytes(4) + bytes([flags]) + bytes(6), server_id=7)


@pytest.mark.parametrize(("tables", "refused"), [(("everything",), True), (("others",), False)])
def test_mariadb_says_first_that_a_transaction_will_be_prepared(tables: tuple[str, ...], refused: bool) -> None:
    world = World(topology("kinds", *tables), COLLATIONS, executed=MariadbGtids("0-7-40"))
    stream = [maria(41, 64), MAP, *ROWS, query(f"XA END {NAME}"), prepared(one_phase=False)]
    for outcome in world.outcomes([packets([*stream, maria(42, 1), query(f"XA ROLLBACK {NAME}")])]):
        assert outcome.records == []
        assert (outcome.error is not None) == refused
        if outcome.error is not None:
            assert "0-7-41 prepares changes of captured tables" in outcome.error[1]
        else:
            assert outcome.finished == [("0-7", 41, 42)]
