"""The audit on the whole line while writes go on: no false alarm, every tampering found, and mended by a repair."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from busy import Busy, busy_line, differences
from click.testing import CliRunner

from audit.trace import trace
from changes.envelope import decode, decode_key
from changes.progress import Asked
from sinks.redis.statements import stamp_key
from streams.capture.requests import send
from streams.kafka import read_topic
from streams.marks import Marks
from tailrace.cli import cli
from tailrace.endpoints import environment

RATE = 200.0
OURS = range(900_001, 900_021)
"""Rows of the ledger that the traffic leaves alone."""
BEYOND = 1 << 62
"""A position that no history reaches."""


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Busy]:
    with busy_line(tmp_path_factory.mktemp("audit"), rows=400, rate=RATE) as here:
        for number in OURS:
            here.mysql("INSERT INTO tr_ledger VALUES (%s, 1, 'right', %s, NOW())", number, number % 5 + 1)
        yield here


def test_three_audits_under_traffic_find_nothing(busy: Busy) -> None:
    for _ in range(3):
        report = busy.audit("jobs", "resume_skills", "tr_ledger").report
        assert [(result.sink, result.table, result.differences) for result in report.results if result.different] == []
        assert report.verdict == "equal", report


def tamper(busy: Busy) -> dict[tuple[str, int], tuple[str, list[str]]]:
    """Spoil stores behind the line's back in every way there is; what an audit must say of it."""
    (old,) = busy.postgres("SELECT * FROM tailrace.tr_ledger WHERE id = 900004")
    busy.mysql("UPDATE tr_ledger SET payload = 'newer' WHERE id = 900004")
    busy.mysql("DELETE FROM tr_ledger WHERE id = 900007")
    (dead,) = busy.postgres("SELECT * FROM tailrace.tr_ledger WHERE id = 900008")
    busy.line.settle()
    busy.postgres("UPDATE tailrace.tr_ledger SET payload = 'wrong' WHERE id = 900001")
    with closing(busy.redis()) as client:
        client.delete("ledger:900002")
        client.set(
            "ledger:900003", b'{"id":900003,"n":1,"payload":"other","user_id":4,"touched_at":"2026-01-02T03:04:05Z"}'
        )
    busy.postgres(
        "UPDATE tailrace.tr_ledger SET payload = $1, _tr_pos = $2, _tr_h1 = $3, _tr_h2 = $4 WHERE id = 900004",
        old["payload"],
        old["_tr_pos"],
        old["_tr_h1"],
        old["_tr_h2"],
    )
    busy.sqlite("1", "UPDATE _tr_tr_ledger SET n = 99 WHERE id = 900005")
    extra = list(dead.values())
    marks = ", ".join(f"${number}" for number, _ in enumerate(extra, 1))
    for number in (900_007, 999_999):
        extra[list(dead.keys()).index("id")] = number
        busy.postgres(f"INSERT INTO tailrace.tr_ledger VALUES ({marks})", *extra)
    busy.postgres("UPDATE tailrace.tr_ledger SET _tr_map = 1 WHERE id = 900009")
    busy.postgres("UPDATE tailrace.tr_ledger SET _tr_h1 = _tr_h1 # 1 WHERE id = 900010")
    busy.postgres("DELETE FROM tailrace.tr_ledger WHERE id = 900011")
    busy.sqlite(
        "2",
        "UPDATE _tr_tr_ledger SET id = 900012 WHERE id = 900006",
    )
    busy.postgres("UPDATE tailrace.tr_ledger SET _tr_pos = $1 WHERE id = 900013", BEYOND)
    return {
        ("postgres", 900_001): ("altered", ["payload"]),
        ("redis", 900_002): ("missing", []),
        ("redis", 900_003): ("altered", ["payload", "touched_at"]),
        ("postgres", 900_004): ("stale", ["payload"]),
        ("sqlite", 900_005): ("altered", ["n"]),
        ("postgres", 900_007): ("resurrected", []),
        ("postgres", 999_999): ("extra", []),
        ("postgres", 900_009): ("old mapping", []),
        ("postgres", 900_010): ("stale", []),
        ("postgres", 900_011): ("missing", []),
        ("sqlite", 900_006): ("missing", []),
        ("sqlite", 900_012): ("extra", []),
        ("postgres", 900_013): ("impossible position", []),
    }


def test_every_tampering_is_found_and_mended(busy: Busy) -> None:
    spoilt = tamper(busy)
    audited = busy.audit("tr_ledger")
    assert differences(audited.report) == spoilt
    after = busy.repaired(busy.planned(audited))
    assert after.verdict == "equal", after
    last = busy.audit("tr_ledger")
    assert last.report.verdict == "equal", last.report


def test_a_trace_shows_a_row_everywhere(busy: Busy) -> None:
    busy.line.settle()
    found = asyncio.run(trace(busy.line.topology, busy.line.version, busy.line.endpoints, "tr_ledger", "id=900014"))
    assert found.key == {"id": 900_014}
    assert found.topic.row_hash == found.source.row_hash is not None
    assert [(store.sink, store.equal, store.row_hash) for store in found.stores] == [
        (sink, True, found.source.row_hash) for sink in ("redis", "postgres", "sqlite")
    ]
    with closing(busy.redis()) as client:
        client.delete("ledger:900014", stamp_key("ledger:900014"))
    found = asyncio.run(trace(busy.line.topology, busy.line.version, busy.line.endpoints, "tr_ledger", "900014"))
    assert [store.equal for store in found.stores] == [False, True, True]
    busy.mysql("UPDATE tr_ledger SET n = n + 1 WHERE id = 900014")  # its next change heals it
    busy.line.settle()


def test_a_request_is_answered_once_though_capture_is_killed_meanwhile(busy: Busy) -> None:
    topic = busy.line.topology.topic(busy.line.version, "tr_ledger")
    known = {900_015, 900_016, 900_017}

    def told() -> list[int]:
        ids = []
        for message in read_topic(busy.line.kafka, topic):
            number = decode_key(message.key() or b"")["id"]
            if message.value() is not None and decode(message.value() or b"").op == "r" and number in known:
                ids.append(int(str(number)))
        return sorted(ids)

    before = told()
    asked = [Asked([number]) for number in sorted(known)]
    for _ in range(3):
        last = send(busy.line.kafka, busy.line.version, "tr_ledger", asked)
        os.kill(busy.line.pipeline.pids()["future.capture"], signal.SIGKILL)
        marks = Marks(busy.line.kafka, busy.line.version)
        try:
            assert marks.behind_request(last, time.monotonic() + 60) is not None
        finally:
            marks.close()
    assert told() == sorted([*before, *known, *known, *known])


def test_the_command_shows_plans_and_mends(busy: Busy) -> None:
    environ = environment(busy.line.topology, busy.line.version, busy.line.endpoints)

    def ran(*options: str) -> tuple[int, dict[str, Any]]:
        arguments = ["check", "--topics", busy.line.topology.file, "--table", "tr_ledger", "--json", *options]
        result = CliRunner().invoke(cli, arguments, env=environ)
        return result.exit_code, json.loads(result.stdout)

    # Capture may just have been killed: what is to be spoilt must be there, and nothing on its way to write it again.
    busy.line.settle()
    assert busy.postgres("SELECT payload FROM tailrace.tr_ledger WHERE id = 900018") == [("right",)]
    assert busy.postgres("UPDATE tailrace.tr_ledger SET payload = 'wrong' WHERE id = 900018 RETURNING id")
    wrong = [{"class": "altered", "key": {"id": 900_018}, "columns": ["payload"]}]
    code, planned_only = ran("--repair", "--dry-run")
    assert (code, planned_only["verdict"], planned_only["left_out"]) == (3, "different", 0)
    assert planned_only["asked"] == {"tr_ledger": [{"key": [900_018], "hint": {}, "over": "", "chunk": -1}]}
    code, mended = ran("--repair")
    assert (code, mended["verdict"], mended["depth"]) == (0, "equal", "keys")
    assert [found for result in mended["before"]["results"] for found in result["differences"]] == wrong
    code, last = ran()
    assert (code, last["verdict"], last["depth"]) == (0, "equal", "deep")
