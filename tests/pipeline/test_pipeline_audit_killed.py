"""``tailrace check --deep``, killed while it reads MySQL: the next one reads the rest and finds what there is."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from busy import Busy
from line import line

from audit.course import Course, path_of
from audit.digests import Digests
from audit.first import SAVE_EVERY
from streams.mysql import connect
from tailrace.endpoints import environment
from tailrace.example.traffic import Traffic
from tailrace.stack import Stack

pytestmark = pytest.mark.slow

SIDE = 200
ROWS = SIDE * SIDE
TABLE = "tr_ledger"
TOPICS = f"""
versions:
  future: {{database: jobfirst_future, env: FUTURE_}}
tables:
  - table: {TABLE}
    key: [id]
    user: user_id
    sinks:
      - {{sink: postgres, tier: realtime}}
"""
FILL = f"""
INSERT INTO {TABLE} WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {SIDE - 1})
SELECT a.i * {SIDE} + b.i + 1, 1, 'right', MOD(b.i, 5) + 1, NOW() FROM n a, n b
"""
SLOWLY = "0.01"
"""Of MySQL's time: reading all lasts long enough to be killed in the middle."""


@pytest.fixture(scope="module")
def quiet(servers: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Busy]:
    """A line of one table in one store, and nobody who writes."""
    folder = tmp_path_factory.mktemp("killed")
    topics = folder / "topics.yaml"
    topics.write_text(TOPICS)
    endpoints = servers.endpoints()["future"]
    with line(endpoints, folder, rows=100, topics=topics) as running:
        here = Busy(running, Traffic(endpoints["mysql"], rate=1, seed=1))
        here.mysql(FILL)
        running.settle()
        yield here


class Checks:
    """Runs of the command, which all remember in the same folder how far they came."""

    def __init__(self, quiet: Busy, folder: Path) -> None:
        self._quiet, self._folder = quiet, folder
        running = quiet.line
        self._environ = environment(running.topology, running.version, running.endpoints)
        self._environ["TAILRACE_CACHE"] = str(folder)
        self._words = [sys.executable, "-m", "tailrace", "check", "--deep", "--json"]
        self._words += ["--topics", running.topology.file]

    def killed(self) -> Course:
        """Kill one in the middle of MySQL's rows; how far it had come, as it noted. One that was killed before it
        noted anything, on a busy machine, is no example: the next is killed later."""
        for noted in (SAVE_EVERY, 3 * SAVE_EVERY, 9 * SAVE_EVERY):
            self._kill_after(noted)
            digests = Digests(path_of(self._folder / "audit", self._quiet.line.version, f"{TABLE}.postgres"))
            course = digests.course()
            digests.close()
            if course is not None:
                assert 0 < course.rows < ROWS
                assert not course.read
                return course
        raise AssertionError("no check noted how far it was")

    def _kill_after(self, seconds: float) -> None:
        """Seconds from when it first tells of rows."""
        words = [*self._words, "--share", SLOWLY]
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=self._environ) as process:
            began = None
            for told in process.stderr or ():
                now = time.monotonic()
                if re.match(rf"{TABLE}: \d+ rows".encode(), told):
                    began = began or now
                    if now - began > seconds:
                        break
            process.kill()

    def whole(self) -> tuple[int, dict[str, Any], str]:
        """One that nobody kills: its exit code, its report, and what it told."""
        done = subprocess.run(self._words, capture_output=True, text=True, env=self._environ, check=False)
        return done.returncode, json.loads(done.stdout), done.stderr


def rows_read(quiet: Busy) -> int:
    """How many rows MySQL has read for anybody since it was started."""
    with closing(connect(quiet.line.mysql)) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Innodb_rows_read'")
        ((_, count),) = cursor.fetchall()
        return int(count)


def differences(report: dict[str, Any]) -> list[tuple[str, int]]:
    (result,) = report["results"]
    return sorted((found["class"], found["key"]["id"]) for found in result["differences"])


def gone_on_with(quiet: Busy, checks: Checks, course: Course) -> tuple[int, dict[str, Any]]:
    """The next check, which reads no row of MySQL again but those that it looks at twice."""
    before = rows_read(quiet)
    code, report, told = checks.whole()
    read = rows_read(quiet) - before
    assert f"an audit that was left is gone on with, {course.rows} rows of MySQL are read" in told
    assert ROWS - course.rows <= read < ROWS - course.rows + 100, (course.rows, read)
    (result,) = report["results"]
    assert (result["source_rows"], result["undecided"]) == (ROWS, 0)
    return code, report


def test_a_check_that_was_killed_is_gone_on_with(quiet: Busy, tmp_path: Path) -> None:
    checks = Checks(quiet, tmp_path)
    code, report = gone_on_with(quiet, checks, checks.killed())
    assert (code, report["verdict"], differences(report)) == (0, "equal", [])
    # Nothing is left to be gone on with: this one begins at the beginning.
    before = rows_read(quiet)
    code, report, told = checks.whole()
    assert (code, report["verdict"]) == (0, "equal")
    assert "gone on with" not in told
    assert rows_read(quiet) - before >= ROWS


def test_what_is_spoilt_meanwhile_is_found_wherever_it_lies(quiet: Busy, tmp_path: Path) -> None:
    checks = Checks(quiet, tmp_path)
    quiet.postgres("UPDATE tailrace.tr_ledger SET payload = 'wrong' WHERE id = 7")
    course = checks.killed()
    # Among the rows that were read, in the store alone and in MySQL too, and among those that were not.
    quiet.postgres("DELETE FROM tailrace.tr_ledger WHERE id = 8")
    quiet.mysql("UPDATE tr_ledger SET payload = 'newer' WHERE id = 9")
    quiet.line.settle()
    quiet.postgres("UPDATE tailrace.tr_ledger SET n = 99 WHERE id = $1", ROWS)
    spoilt = [("altered", 7), ("altered", ROWS), ("missing", 8)]
    code, report = gone_on_with(quiet, checks, course)
    assert (code, report["verdict"], differences(report)) == (3, "different", spoilt)
