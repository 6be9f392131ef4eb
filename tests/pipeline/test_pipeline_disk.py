"""A full disk under the files of users: nothing is lost, and nobody has to restart anything."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from line import Line, prepared, topics_with_ledger
from mounts import may_mount
from running import Running

from tailrace.declared import read_whole
from tailrace.endpoints import having
from tailrace.pipeline import Pipeline

pytestmark = pytest.mark.slow


def until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    """Poll a condition of another process."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def test_a_full_disk_for_sqlite_waits_and_goes_on_when_there_is_room(stack: Running, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if not may_mount(disk):
        pytest.skip("needs the right to mount a file system")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], check=True)
    try:
        endpoints = stack.endpoints["future"] | {"sqlite": str(disk)}
        topics = topics_with_ledger(tmp_path)
        topology = having(read_whole(topics), endpoints)
        prepared(endpoints, 50)
        log = tmp_path / "pipeline.log"
        pipeline = Pipeline(topology, {"future": endpoints}, topics=topics, roles=("capture", "deliver"), log_file=log)
        pipeline.start()
        try:
            until(lambda: "future.sqlite.local waits" in log.read_text())
            subprocess.run(["mount", "-o", "remount,size=256m", str(disk)], check=True)
            assert Line(topology, endpoints, pipeline).check().verdict == "equal"
        finally:
            pipeline.stop()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
