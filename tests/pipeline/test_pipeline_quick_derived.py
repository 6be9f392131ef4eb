"""The quick audit of vectors and analyses while writes go on: no false alarm, what sums show is found, and mended."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import asyncpg
import msgspec
import pytest
from busy import Busy, busy_line, differences
from confluent_kafka import Message, Producer

from audit.report import Report
from sinks.redis.statements import stamp_key
from streams.kafka import read_topic

pytestmark = pytest.mark.slow

TABLES = ("companies", "jobs", "resumes")
BEYOND = 1 << 62
EMBEDDED = "future.enriched.companies.embedding"


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Busy]:
    with busy_line(tmp_path_factory.mktemp("quickly"), rows=300, rate=60.0, enriched=True) as here:
        # rows that the traffic leaves alone: it writes to those that the generator made
        for number in range(900_001, 900_013):
            here.mysql(
                "INSERT INTO companies (id, name, industry, description, created_at, updated_at)"
                " SELECT %s, CONCAT('Rowan ', %s), industry, CONCAT(description, ' ', %s), NOW(), NOW()"
                " FROM companies ORDER BY id LIMIT 1",
                *(number, number, number),
            )
        here.line.settle()
        yield here


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("memory")


def targets(report: Report) -> set[tuple[str, str, str]]:
    return {(result.sink, result.table, result.place) for result in report.results}


def test_quick_audits_under_traffic_find_nothing_and_leave_out_no_target(busy: Busy, memory: Path) -> None:
    reports = [busy.audit(*TABLES, depth="quick", memory=memory).report for _ in range(3)]
    for report in reports:
        assert [(result.sink, result.table, result.differences) for result in report.results if result.different] == []
        assert (report.verdict, report.depth) == ("equal", "quick"), report
        assert all(result.compared for result in report.results if result.sink == "postgres")
    deep = busy.audit(*TABLES).report
    assert deep.verdict == "equal", deep
    assert targets(reports[0]) == targets(deep)
    assert {
        ("postgres", "jobs.embedding", "job_embeddings"),
        ("redis", "jobs.analysis", "job_analysis:{id}"),
    } <= targets(deep)
    assert {one.name for one in (memory / "future").iterdir()} == {
        "companies.analysis.redis-postgres.sqlite",
        "companies.embedding.postgres.sqlite",
        "jobs.analysis.redis-postgres.sqlite",
        "jobs.embedding.postgres.sqlite",
        "resumes.analysis.redis-postgres.sqlite",
        "resumes.embedding.postgres.sqlite",
    }


def put_back(busy: Busy, old: asyncpg.Record) -> None:
    """An embedding as it was before, with its reserved columns."""
    values = {name: value for name, value in old.items() if name != "id"}
    assigned = ", ".join(f"{name} = ${place}" for place, name in enumerate(values, 2))
    busy.postgres(f"UPDATE tailrace.company_embeddings SET {assigned} WHERE id = $1", old["id"], *values.values())


def tamper(busy: Busy) -> dict[tuple[str, int], tuple[str, list[str]]]:
    """Spoil what was made of companies in the ways that sums show; what an audit must say of it."""
    columns = "id, overall, input_hash, _tr_pos, _tr_h1, _tr_h2"
    (old,) = busy.postgres("SELECT * FROM tailrace.company_embeddings WHERE id = 900004")
    busy.mysql("UPDATE companies SET description = 'something newer' WHERE id = 900004")
    busy.mysql("DELETE FROM companies WHERE id = 900007")
    (other,) = busy.postgres(f"SELECT {columns} FROM tailrace.company_embeddings WHERE id = 900002")
    (gone,) = busy.postgres("SELECT * FROM tailrace.company_embeddings WHERE id = 900008")
    busy.line.settle()
    busy.postgres(
        "UPDATE tailrace.company_embeddings SET overall = $1, _tr_h1 = $2, _tr_h2 = $3 WHERE id = 900001",
        *(other["overall"], other["_tr_h1"], other["_tr_h2"]),
    )
    busy.postgres("DELETE FROM tailrace.company_embeddings WHERE id = 900003")
    put_back(busy, old)
    busy.postgres("UPDATE tailrace.company_embeddings SET _tr_pos = $1 WHERE id = 900006", BEYOND)
    marks = ", ".join(f"${place}" for place in range(1, len(gone) + 1))
    for number in (900_007, 999_999):
        revived = [number if name == "id" else value for name, value in gone.items()]
        busy.postgres(f"INSERT INTO tailrace.company_embeddings VALUES ({marks})", *revived)
    return {
        ("postgres", 900_001): ("altered", ["overall"]),
        ("postgres", 900_003): ("missing", []),
        ("postgres", 900_004): ("stale", ["description", "input_hash", "overall"]),
        ("postgres", 900_006): ("impossible position", []),
        ("postgres", 900_007): ("resurrected", []),
        ("postgres", 999_999): ("extra", []),
    }


def test_what_sums_show_of_a_vector_is_found_by_row_and_mended(busy: Busy, memory: Path) -> None:
    spoilt = tamper(busy)
    audited = busy.audit("companies", depth="quick", memory=memory)
    assert {key: (class_, sorted(columns)) for key, (class_, columns) in differences(audited.report).items()} == spoilt
    assert busy.repaired(busy.planned(audited)).verdict == "equal"
    last = busy.audit("companies", depth="quick", memory=memory)
    assert last.report.verdict == "equal", last.report


def test_a_vector_that_is_edited_without_its_hash_is_for_the_deep_audit(busy: Busy, memory: Path) -> None:
    busy.postgres(
        "UPDATE tailrace.company_embeddings SET description ="
        " (SELECT description FROM tailrace.company_embeddings WHERE id = 900002) WHERE id = 900009"
    )
    assert busy.audit("companies", depth="quick", memory=memory).report.verdict == "equal"
    audited = busy.audit("companies")
    assert differences(audited.report) == {("postgres", 900_009): ("altered", ["description"])}
    assert busy.repaired(busy.planned(audited)).verdict == "equal"


def test_a_result_of_an_older_row_is_seen_though_every_store_holds_it(busy: Busy, memory: Path) -> None:
    """Somebody writes an older result to the enriched topic, and into the store what a lane would make of it."""
    busy.line.settle()
    was = last_of(busy, 900_010)
    (old,) = busy.postgres("SELECT * FROM tailrace.company_embeddings WHERE id = 900010")
    busy.mysql("UPDATE companies SET description = 'nobody made anything of this' WHERE id = 900010")
    busy.line.settle()
    put_back(busy, old)
    producer = Producer(busy.line.kafka.config(partitioner="murmur2_random"))
    producer.produce(EMBEDDED, key=was.key(), value=was.value(), headers=was.headers())
    producer.flush()
    busy.line.settle()
    audited = busy.audit("companies", depth="quick", memory=memory)
    assert differences(audited.report) == {("postgres", 900_010): ("stale", [])}
    assert busy.repaired(busy.planned(audited)).verdict == "equal"
    last = busy.audit("companies", depth="quick", memory=memory)
    assert last.report.verdict == "equal", last.report


def last_of(busy: Busy, number: int) -> Message:
    key = msgspec.json.encode({"id": number})
    return [message for message in read_topic(busy.line.kafka, EMBEDDED) if message.key() == key][-1]


def test_a_cached_analysis_is_looked_at(busy: Busy, memory: Path) -> None:
    busy.line.settle()
    with closing(busy.redis()) as client:
        was = msgspec.json.decode(client.get("company_analysis:900011") or b"{}")
        client.set("company_analysis:900011", msgspec.json.encode(was | {"degraded": 0}), keepttl=True)
        client.delete("company_analysis:900012", stamp_key("company_analysis:900012"))
    audited = busy.audit("companies", depth="quick", memory=memory)
    assert differences(audited.report) == {("redis", 900_011): ("altered", ["degraded"])}
    assert busy.repaired(busy.planned(audited)).verdict == "equal"
