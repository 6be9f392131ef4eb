"""Capture's sums and the quick audit on the whole line, while writes go on."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing

import msgspec
import pytest
from busy import Busy, busy_line, differences
from confluent_kafka import Producer

from audit.quick import MOST_OPENED
from changes.canonical import BUCKETS, halves, row_hash
from changes.key import key_of
from changes.progress import Bucket, TableSums, internal_topic
from sinks.redis.statements import stamp_key
from streams.capture.requests import send
from streams.capture.snapshot import binlog_end
from streams.kafka import read_topic
from streams.marks import Marks
from streams.mysql import connect
from streams.sumstail import SumsTail
from streams.view import View, view_of

RATE = 120.0
OURS = range(900_001, 900_021)
"""Rows of the ledger that the traffic leaves alone."""
BEYOND = 1 << 62
"""A position that no history reaches."""


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Busy]:
    with busy_line(tmp_path_factory.mktemp("quick"), rows=2000, rate=RATE) as here:
        for number in OURS:
            here.mysql("INSERT INTO tr_ledger VALUES (%s, 1, 'right', %s, NOW())", number, number % 5 + 1)
        yield here


def recount(view: View) -> dict[int, Bucket]:
    found: dict[int, Bucket] = {}
    for row in view.rows():
        bucket, (high, low) = key_of(view.schema, row).bucket, halves(row_hash(view.schema.columns, row))
        count, highs, lows = found.get(bucket, (0, 0, 0))
        found[bucket] = count + 1, highs + high, lows + low
    return found


def counted(busy: Busy, table: str) -> tuple[dict[int, Bucket] | None, dict[int, Bucket]]:
    """What capture says of a table, and what is in it, both while nobody can write to it; once it says anything."""
    deadline = time.monotonic() + 90
    while True:
        told, there = _counted(busy, table)
        if told is not None or time.monotonic() >= deadline:
            return told, there
        time.sleep(0.2)


def _counted(busy: Busy, table: str) -> tuple[dict[int, Bucket] | None, dict[int, Bucket]]:
    here, declared = busy.line, busy.line.topology.tables[table]
    marks, sums = Marks(here.kafka, here.version), SumsTail(here.kafka, here.version)
    try:
        with closing(connect(here.mysql)) as connection, connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLES {table} READ")
            mark = marks.behind_binlog(*binlog_end(cursor), time.monotonic() + 60)
            assert mark is not None
            key, dropped = tuple(declared.key), frozenset(declared.columns.drop)
            with view_of(here.mysql, here.topology.database(here.version), table, 0, key=key, dropped=dropped) as view:
                return sums.at(mark.sums, table), recount(view)
    finally:
        marks.close()
        sums.close()


def count_anew(busy: Busy, table: str) -> None:
    asked = send(busy.line.kafka, busy.line.version, table, None)
    marks = Marks(busy.line.kafka, busy.line.version)
    try:
        assert marks.behind_request(asked, time.monotonic() + 60) is not None
    finally:
        marks.close()


@pytest.mark.parametrize("table", ["tr_ledger", "jobs", "resume_skills"])
def test_sums_that_began_under_traffic_are_exact(busy: Busy, table: str) -> None:
    told, there = counted(busy, table)
    assert told == there
    assert there


def given_up(busy: Busy, table: str) -> int:
    """How often capture has said that it does not know a table's sums any more."""
    topic = internal_topic(busy.line.version, "sums")
    values = [
        message.value() or b"" for message in read_topic(busy.line.kafka, topic) if message.key() == table.encode()
    ]
    return sum(msgspec.json.decode(value, type=TableSums).buckets is None for value in values)


@pytest.mark.slow
def test_sums_stay_exact_though_capture_is_killed(busy: Busy) -> None:
    before = given_up(busy, "tr_ledger")
    for _ in range(4):
        time.sleep(0.7)
        os.kill(busy.line.pipeline.pids()["future.capture"], signal.SIGKILL)
        told, there = counted(busy, "tr_ledger")
        assert told == there
    assert given_up(busy, "tr_ledger") == before, "they were begun anew"


def test_a_table_that_is_altered_or_filled_anew_is_counted_anew(busy: Busy) -> None:
    busy.mysql("ALTER TABLE tr_ledger ADD COLUMN mark INT NOT NULL DEFAULT 7")
    told, there = counted(busy, "tr_ledger")
    assert told == there
    busy.mysql("ALTER TABLE tr_ledger DROP COLUMN mark")
    count_anew(busy, "tr_ledger")
    told, there = counted(busy, "tr_ledger")
    assert told == there


def test_quick_audits_under_traffic_find_nothing(busy: Busy) -> None:
    for _ in range(3):
        report = busy.audit("jobs", "users", "resume_skills", "tr_ledger", depth="quick").report
        assert [(result.sink, result.table, result.differences) for result in report.results if result.different] == []
        assert (report.verdict, report.depth) == ("equal", "quick"), report
        assert all(result.compared for result in report.results)


def tamper(busy: Busy) -> dict[tuple[str, int], tuple[str, list[str]]]:
    """Spoil stores in the ways that sums show; what an audit must say of it."""
    (old,) = busy.postgres("SELECT * FROM tailrace.tr_ledger WHERE id = 900004")
    with closing(busy.redis()) as client:
        old_redis = [client.get(key) for key in ("ledger:900003", stamp_key("ledger:900003"))]
        busy.mysql("UPDATE tr_ledger SET payload = 'newer' WHERE id IN (900003, 900004, 900005)")
        (dead,) = busy.postgres("SELECT * FROM tailrace.tr_ledger WHERE id = 900008")
        busy.settle()
        client.delete("ledger:900002")
        client.mset(dict(zip(("ledger:900003", stamp_key("ledger:900003")), old_redis, strict=True)))
        client.set("ledger:999998", (client.get("ledger:900008") or b"").replace(b"900008", b"999998"))
        client.copy(stamp_key("ledger:900008"), stamp_key("ledger:999998"))
    busy.postgres(
        "UPDATE tailrace.tr_ledger SET payload = $1, _tr_pos = $2, _tr_h1 = $3, _tr_h2 = $4 WHERE id = 900004",
        old["payload"],
        old["_tr_pos"],
        old["_tr_h1"],
        old["_tr_h2"],
    )
    busy.sqlite("1", "UPDATE _tr_tr_ledger SET payload = 'right', _tr_h1 = 1 WHERE id = 900005")
    marks = ", ".join(f"${number}" for number, _ in enumerate(dead, 1))
    extra = [999_999 if name == "id" else value for name, value in dead.items()]
    busy.postgres(f"INSERT INTO tailrace.tr_ledger VALUES ({marks})", *extra)
    busy.postgres("DELETE FROM tailrace.tr_ledger WHERE id = 900011")
    busy.sqlite("2", "DELETE FROM _tr_tr_ledger WHERE id = 900006")
    busy.postgres("UPDATE tailrace.tr_ledger SET _tr_pos = $1 WHERE id = 900013", BEYOND)
    return {
        ("redis", 900_002): ("missing", []),
        ("redis", 900_003): ("stale", ["payload"]),
        ("redis", 999_998): ("extra", []),
        ("postgres", 900_004): ("stale", ["payload"]),
        ("sqlite", 900_005): ("altered", ["payload"]),
        ("postgres", 999_999): ("extra", []),
        ("postgres", 900_011): ("missing", []),
        ("sqlite", 900_006): ("missing", []),
        ("postgres", 900_013): ("impossible position", []),
    }


def test_what_sums_show_is_found_by_row_and_mended(busy: Busy) -> None:
    spoilt = tamper(busy)
    audited = busy.audit("tr_ledger", depth="quick")
    assert differences(audited.report) == spoilt
    assert audited.report.verdict == "different"
    assert differences(busy.repaired(busy.planned(audited))) == {}
    last = busy.audit("tr_ledger", depth="quick")
    assert last.report.verdict == "equal", last.report


def test_a_value_that_is_edited_without_its_hash_is_for_the_deep_audit(busy: Busy) -> None:
    busy.postgres("UPDATE tailrace.tr_ledger SET payload = 'wrong' WHERE id = 900014")
    assert busy.audit("tr_ledger", depth="quick").report.verdict == "equal"
    assert differences(busy.audit("tr_ledger").report) == {("postgres", 900_014): ("altered", ["payload"])}


def test_where_much_differs_every_row_is_looked_at(busy: Busy) -> None:
    (count,) = busy.postgres("SELECT count(*) AS n FROM tailrace.jobs")
    busy.postgres("DELETE FROM tailrace.jobs")
    audited = busy.audit("jobs", depth="quick")
    found = {result.sink: result for result in audited.report.results}
    assert (found["redis"].verdict, found["postgres"].verdict) == ("equal", "different")
    assert {one.class_ for one in found["postgres"].differences} == {"missing"}
    # what changed meanwhile has come back by itself
    assert MOST_OPENED < found["postgres"].different <= count["n"] + 50
    assert differences(busy.repaired(busy.planned(audited))) == {}


def test_a_wrong_count_is_no_verdict_and_a_new_one_is(busy: Busy) -> None:
    table, here = "companies", busy.line
    busy.traffic.pause()  # else what is counted wrong here is of another moment too
    told, there = counted(busy, table)
    assert told == there
    nobodys = next(bucket for bucket in range(BUCKETS) if bucket not in there)
    wrong = TableSums(table, "", {**there, nobodys: (1, 2, 3)})
    producer = Producer(here.kafka.config())
    producer.produce(internal_topic(here.version, "sums"), key=table, value=msgspec.json.encode(wrong))
    producer.flush()
    busy.traffic.resume()
    busy.mysql("UPDATE tr_ledger SET n = n + 1 WHERE id = 900015")  # capture tells what comes behind it
    busy.settle()
    report = busy.audit(table, depth="quick").report
    assert {(one.verdict, one.different) for one in report.results} == {("undecided", 0)}
    assert all(one.reason.startswith("1 buckets differ from what capture counted") for one in report.results)
    count_anew(busy, table)
    told, there = counted(busy, table)
    assert told == there
    assert busy.audit(table, depth="quick").report.verdict == "equal"
