"""Broken binlog streams end in records or a clear error, the same in both readers; see `tools.fuzz`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from streams_readers import NATIVE

from streams.binlog import events
from tools.fuzz import findings
from tools.fuzz.reading import READERS, World, wrong
from tools.fuzz.seeds import Seed, all_seeds
from tools.fuzz.worker import make

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 30
KEPT = list(findings.kept())
SEEDS = all_seeds()


@NATIVE
@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.table + (" of MariaDB" if seed.mariadb else ""))
def test_a_recorded_stream_is_read_to_its_end_by_both(seed: Seed) -> None:
    chunks = [(len(event) + 1).to_bytes(3, "little") + b"\0\0" + event for event in seed.events]
    assert wrong(World(seed), READERS, chunks, compressed=False) == ""
    told = World(seed).told("native", chunks)
    assert told.ended == ""
    assert told.rows >= 10


def test_recorded_streams_hold_what_is_to_be_broken() -> None:
    types = {event[4] for seed in SEEDS for event in seed.events}
    assert types >= {events.PARTIAL_UPDATE, events.GTID_TAGGED, events.PAYLOAD, events.MARIADB_GTID, events.ROTATE}
    assert types >= {events.GTID, events.QUERY, events.TABLE_MAP, events.XID, *(30, 31, 32), *(23, 24, 25)}


@NATIVE
@pytest.mark.parametrize(("seed", "chunks"), [case[1:] for case in KEPT], ids=[case[0] for case in KEPT])
def test_what_was_once_taken_wrongly_is_taken_rightly(seed: Seed, chunks: list[bytes]) -> None:
    compressed = any(data[4:5] == bytes([events.PAYLOAD]) for data in seed.events)
    assert wrong(World(seed), READERS, chunks, compressed=compressed) == ""


def test_the_same_numbers_make_the_same_stream() -> None:
    assert make(SEEDS, 7, 11) == make(SEEDS, 7, 11)
    assert make(SEEDS, 7, 11) != make(SEEDS, 7, 12)


@pytest.mark.slow
@NATIVE
def test_broken_streams_end_in_a_clear_error_and_in_the_same(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tools.fuzz", "--seconds", str(SECONDS), "--series", "1", "--keep", str(tmp_path)]
    run = subprocess.run(words, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    told = json.loads(run.stdout or "{}")
    assert (run.returncode, told.get("faults")) == (0, []), run.stderr
    assert told["tried"] > 0
