"""The audit of vectors and analyses while writes go on: no false alarm, every tampering found, and mended."""

import asyncio
from collections.abc import Iterator
from contextlib import closing

import msgspec
import pytest
from busy import Busy, busy_line, differences

from audit.trace import trace
from sinks.redis.statements import stamp_key

pytestmark = pytest.mark.slow

TABLES = ("companies", "jobs", "resumes")
BEYOND = 1 << 62


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Busy]:
    with busy_line(tmp_path_factory.mktemp("derived"), rows=300, rate=60.0, enriched=True) as here:
        # rows that the traffic leaves alone: it writes to those that the generator made
        for number in range(900_001, 900_013):
            here.mysql(
                "INSERT INTO companies (id, name, industry, description, created_at, updated_at)"
                " SELECT %s, CONCAT('Rowan ', %s), industry, CONCAT(description, ' ', %s), NOW(), NOW()"
                " FROM companies ORDER BY id LIMIT 1",
                *(number, number, number),
            )
        yield here


def test_two_audits_under_traffic_find_nothing(busy: Busy) -> None:
    for _ in range(2):
        report = busy.audit(*TABLES).report
        assert [(result.sink, result.table, result.differences) for result in report.results if result.different] == []
        assert report.verdict == "equal", report
    audited = {(result.sink, result.table) for result in report.results}
    assert {("postgres", "jobs.embedding"), ("postgres", "jobs.analysis"), ("redis", "jobs.analysis")} <= audited
    assert all(result.compared for result in report.results if result.sink == "postgres")


def tamper(busy: Busy) -> dict[tuple[str, int], tuple[str, list[str]]]:
    """Spoil what was made of companies, in every way there is; what an audit must say of it."""
    busy.line.settle()
    (old,) = busy.postgres("SELECT * FROM tailrace.company_embeddings WHERE id = 900004")
    busy.mysql("UPDATE companies SET description = 'something newer' WHERE id = 900004")
    busy.mysql("DELETE FROM companies WHERE id = 900007")
    (gone,) = busy.postgres("SELECT * FROM tailrace.company_embeddings WHERE id = 900008")
    busy.line.settle()
    busy.postgres(
        "UPDATE tailrace.company_embeddings SET description ="
        " (SELECT description FROM tailrace.company_embeddings WHERE id = 900002) WHERE id = 900001"
    )
    busy.postgres("DELETE FROM tailrace.company_embeddings WHERE id = 900003")
    columns = [name for name, _ in old.items() if name != "id"]
    assigned = ", ".join(f"{name} = ${place}" for place, name in enumerate(columns, 1))
    busy.postgres(
        f"UPDATE tailrace.company_embeddings SET {assigned} WHERE id = 900004", *(old[name] for name in columns)
    )
    busy.postgres("UPDATE tailrace.company_embeddings SET _tr_gen = 7 WHERE id = 900005")
    busy.postgres("UPDATE tailrace.company_embeddings SET _tr_pos = $1 WHERE id = 900006", BEYOND)
    revived = [900_007 if name == "id" else value for name, value in gone.items()]
    marks = ", ".join(f"${place}" for place in range(1, len(revived) + 1))
    busy.postgres(f"INSERT INTO tailrace.company_embeddings VALUES ({marks})", *revived)
    busy.postgres("UPDATE tailrace.company_embeddings SET _tr_map = 1 WHERE id = 900009")
    busy.postgres("UPDATE tailrace.company_embeddings SET overall = NULL WHERE id = 900010")
    return {
        ("postgres", 900_001): ("altered", ["description"]),
        ("postgres", 900_003): ("missing", []),
        ("postgres", 900_004): ("stale", ["description", "input_hash", "overall"]),
        ("postgres", 900_005): ("wrong generation", []),
        ("postgres", 900_006): ("impossible position", []),
        ("postgres", 900_007): ("resurrected", []),
        ("postgres", 900_009): ("old mapping", []),
        ("postgres", 900_010): ("altered", ["overall"]),
    }


def test_every_tampering_of_a_vector_is_found_and_mended(busy: Busy) -> None:
    spoilt = tamper(busy)
    audited = busy.audit("companies")
    assert {key: (class_, sorted(columns)) for key, (class_, columns) in differences(audited.report).items()} == spoilt
    after = busy.repaired(busy.planned(audited))
    assert after.verdict == "equal", after
    last = busy.audit("companies")
    assert last.report.verdict == "equal", last.report


def test_an_analysis_that_was_changed_in_redis_is_found_and_mended(busy: Busy) -> None:
    busy.line.settle()
    with closing(busy.redis()) as client:
        was = msgspec.json.decode(client.get("company_analysis:900011") or b"{}")
        client.set("company_analysis:900011", msgspec.json.encode(was | {"degraded": 0}), keepttl=True)
        client.delete("company_analysis:900012", stamp_key("company_analysis:900012"))
    audited = busy.audit("companies")
    assert differences(audited.report) == {("redis", 900_011): ("altered", ["degraded"])}
    assert busy.repaired(busy.planned(audited)).verdict == "equal"


def test_a_trace_shows_what_was_made(busy: Busy) -> None:
    busy.line.settle()
    found = asyncio.run(trace(busy.line.topology, busy.line.version, busy.line.endpoints, "companies", "900002"))
    assert [(made.enricher, made.current) for made in found.enrichments] == [
        ("analysis", True),
        ("embedding", True),
    ]
    assert {(store.sink, store.table) for store in found.stores} >= {("postgres", "companies.embedding")}
    assert all(store.equal for store in found.stores if store.sink != "redis")
