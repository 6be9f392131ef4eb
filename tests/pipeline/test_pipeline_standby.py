"""Two captures of one version: the second stands by, and goes on when the first is killed for good, or hangs.

The topic, read back committed, holds every change once and in order, whoever wrote it.
"""

import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from os import kill
from pathlib import Path

import pytest
from capturing import CaptureProcess, captured, until
from sources import VERSION, source
from topic_order import followed, ledger_faults

from streams.watch import PositionsTail
from tailrace.example.traffic import Traffic
from tailrace.reports import Reports
from tailrace.stack.mysql import MySQL

pytestmark = pytest.mark.slow

SHUT_OUT = "another capture of version `future` has taken over"
ENDED = "ended this one's"  # the binlog's reader, which may be the first to learn of it
IN_PLACE = "going on in its place"


def state_of(capture: CaptureProcess) -> str:
    """What its worker says of it."""
    return str(Reports(capture.folder / "home", VERSION).fresh().get("capture", {}).get("state", "silent"))


def goes_on(capture: CaptureProcess) -> None:
    """Return once ``capture`` has published a position of its own."""
    since = time.time() * 1000
    tail = PositionsTail(capture.kafka, VERSION)
    try:
        until(lambda: tail.poll(0.1) >= 0 and tail.last is not None and tail.last.at_ms > since, "positions")
    finally:
        tail.close()
    until(lambda: state_of(capture) == "running", "the other capture at work")


@contextmanager
def second(first: CaptureProcess, folder: Path) -> Iterator[CaptureProcess]:
    """Another capture of the same version, as on another machine: with a home of its own."""
    folder.mkdir()
    shutil.copy(first.folder / "topics.yaml", folder)
    other = CaptureProcess(first.topology, first.mysql, first.kafka_url, folder, first.engine)
    other.start()
    try:
        until(lambda: state_of(other) == "standing by", "the second stands by")
        yield other
    finally:
        other.kill()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hangs"])
def test_the_standby_goes_on_and_nothing_is_lost_or_told_twice(end: signal.Signals, tmp_path: Path) -> None:
    with source(MySQL, tmp_path / "servers") as one, captured(one, tmp_path, bulk=1000) as first:
        traffic = Traffic(one.endpoint, rate=150, seed=5, ledger=True, workers=2)
        traffic.start()
        try:
            with second(first, tmp_path / "second") as other:
                assert (state_of(first), "WARNING" in other.log()) == ("running", False)
                kill(first.pid, end)
                until(lambda: IN_PLACE in other.log(), "the second goes on")
                goes_on(other)
                if end is signal.SIGSTOP:
                    kill(first.pid, signal.SIGCONT)
                    until(lambda: SHUT_OUT in first.log() or ENDED in first.log(), "the first is shut out")
                else:
                    first.kill()  # its process is reaped
                    first.start()
                both = [first, other]
                until(lambda: sorted(map(state_of, both)) == ["running", "standing by"], "one of them stands by")
                # the other is at work, but where a busy machine kept it silent for three seconds
                at_work, waiting = sorted(both, key=state_of)
                times = waiting.log().count(IN_PLACE)
                at_work.kill()
                until(lambda: waiting.log().count(IN_PLACE) > times, "the one that waited goes on")
                goes_on(waiting)
        finally:
            traffic.stop()
        first.kill()
        first.start()
        first.settle(one)
        ledger = followed(first.kafka, first.topics["tr_ledger"])
        assert ledger.faults == []
        assert ledger_faults(ledger, one) == []
        assert ledger.ops["u"], "the ledger was never written"
        logs = [first.log(), (tmp_path / "second" / "capture.log").read_text()]
        assert [line for log in logs for line in log.splitlines() if "ERROR" in line] == []
