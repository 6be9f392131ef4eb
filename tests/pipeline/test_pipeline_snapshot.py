"""Fills, sweeps and what is asked of them on a real line: whatever vanished or changed unseen, topics and stores are
right."""

import asyncio
import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from snapped import Snapped, Writer, restarted, snapped

from audit.deep import check
from tailrace.cli import cli
from tailrace.endpoints import environment
from tailrace.stack import Stack

ITEMS = 5000


@contextmanager
def servers(folder: Path) -> Iterator[Stack]:
    """Servers that no other test writes to."""
    stack = Stack(folder / "stack", environ={"HOME": str(Path.home())}, report=print)
    stack.up()
    try:
        yield stack
    finally:
        stack.down()


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapped]:
    folder = tmp_path_factory.mktemp("line")
    with servers(folder) as stack, snapped(stack, folder, items=ITEMS, roles=("capture", "deliver")) as one:
        yield one


def run(line: Snapped, *arguments: str) -> Any:
    """A command's JSON; it ends well."""
    one = line.line
    runner = CliRunner(env=environment(one.topology, one.version, one.endpoints))
    result = runner.invoke(cli, [*arguments, "--topics", str(line.topics), "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def failed(line: Snapped, *arguments: str) -> str:
    """What a command says that does not end well."""
    one = line.line
    runner = CliRunner(env=environment(one.topology, one.version, one.endpoints))
    result = runner.invoke(cli, [*arguments, "--topics", str(line.topics)])
    assert result.exit_code
    return result.stderr


def assert_right(line: Snapped, *tables: str) -> None:
    for table in tables or ("sn_items", "sn_notes"):
        assert line.alive(table) == line.truth(table)


def test_a_table_that_is_read_again_tells_what_changed_unseen_and_deletes_what_vanished(line: Snapped) -> None:
    line.execute("UPDATE sn_items SET n = 7 WHERE name LIKE 'item 1%%'", silent=True)
    gone = line.execute("DELETE FROM sn_items WHERE owner = 3", silent=True)
    assert run(line, "snapshot", "sn_items", "--wait")["done"]
    assert_right(line, "sn_items")
    assert line.states()["sn_items"].swept == gone
    assert line.line.check().verdict == "equal"
    assert quick(line) == "equal"


def quick(line: Snapped) -> str:
    """The verdict of a quick audit once the tables are counted."""
    one = line.line
    while True:
        report = asyncio.run(check(one.topology, one.version, one.endpoints, depth="quick")).report
        if report.verdict != "undecided":
            return report.verdict


def test_a_table_that_was_emptied_unseen_is_emptied_everywhere(line: Snapped) -> None:
    line.execute("INSERT INTO sn_notes VALUES (x'00', 'a', NULL), (x'6100', 'b', NOW(3)), (x'61', 'c', NULL)")
    line.line.settle()
    line.execute("DELETE FROM sn_notes", silent=True)
    assert run(line, "snapshot", "sn_notes", "--wait")["done"]
    assert line.alive("sn_notes") == {} == line.truth("sn_notes")
    last = dict(line.told("sn_notes"))
    assert set(last.values()) == {None}
    assert line.line.check().verdict == "equal"


def test_a_snapshot_of_a_predicate_tells_its_rows_and_deletes_nothing(line: Snapped) -> None:
    line.execute("UPDATE sn_items SET n = 8 WHERE owner = 1 OR owner = 2", silent=True)
    line.execute("DELETE FROM sn_items WHERE owner = 1 AND name = 'item 8'", silent=True)
    before = len(line.told("sn_items"))
    assert run(line, "snapshot", "sn_items", "--where", "owner = 1 AND name LIKE 'item%'", "--wait")["done"]
    told = line.told("sn_items")
    there = line.execute("SELECT 1 FROM sn_items WHERE owner = 1 AND name LIKE 'item%%'")
    assert len(told) - before == there
    alive = line.alive("sn_items")
    assert alive[b'{"owner":1,"name":"item 15"}']["n"] == 8
    assert alive[b'{"owner":2,"name":"item 16"}']["n"] == 7
    assert b'{"owner":1,"name":"item 8"}' in alive
    assert list(line.states()) == ["sn_items", "sn_notes"]


def test_rows_are_asked_for_by_keys_as_people_type_them(line: Snapped, tmp_path: Path) -> None:
    listed = tmp_path / "keys"
    listed.write_text("2, ITEM 16\n2,item 23\n")
    line.execute("DELETE FROM sn_items WHERE owner = 2 AND name = 'item 23'", silent=True)
    arguments = ("snapshot", "sn_items", "--keys", "1,item 8", "--keys-file", str(listed))
    found = run(line, *arguments, "--dry-run")
    assert (found["asked"], found["tables"][0]["rows"], found["tables"][0]["exact"]) == (False, 4, True)
    assert run(line, *arguments, "--wait")["done"]
    alive = line.alive("sn_items")
    assert alive[b'{"owner":2,"name":"item 16"}']["n"] == 8
    assert b'{"owner":1,"name":"item 8"}' not in alive
    assert b'{"owner":2,"name":"item 23"}' not in alive


def test_what_cannot_be_asked_is_refused_before_it_is(line: Snapped) -> None:
    assert "is not declared" in failed(line, "snapshot", "elsewhere")
    assert "MySQL refuses the predicate for `sn_items`: Unknown column" in failed(
        line, "snapshot", "sn_items", "--where", "nothing = 1"
    )
    assert "has 2 values (owner, name), not 1" in failed(line, "snapshot", "sn_items", "--keys", "1")
    assert "which `one` is not" in failed(line, "snapshot", "sn_items", "--keys", "one,item 8")


def test_a_fill_pauses_across_a_crash_goes_on_and_can_be_stopped(line: Snapped) -> None:
    line.execute("DELETE FROM sn_items WHERE owner = 6", silent=True)
    line.ask_paused("sn_items")
    before = len(line.told("sn_items"))
    line.kill_capture()
    line.execute("UPDATE sn_items SET n = 9 WHERE owner = 4 AND name = 'item 4'")
    (fill,) = run(line, "snapshot", "--status")["fills"]
    assert (fill["table"], fill["state"], fill["reason"]) == ("sn_items", "paused", "asked")
    assert run(line, "status")["future"]["capture"]["filling"]["sn_items"]["state"] == "paused"
    while len(line.told("sn_items")) == before:
        time.sleep(0.1)
    assert len(line.told("sn_items")) == before + 1
    assert run(line, "snapshot", "--resume")["fills"] is not None
    line.filled((-1, "sn_items"))
    assert_right(line, "sn_items")
    line.ask_paused("sn_items")
    assert run(line, "snapshot", "sn_items", "--stop")["fills"] == []
    assert line.states()["sn_items"].state == "done"
    assert_right(line, "sn_items")


def test_a_raised_epoch_sweeps_what_vanished_with_the_old_one(line: Snapped) -> None:
    line.line.settle()
    line.line.pipeline.stop()
    gone = line.execute("DELETE FROM sn_items WHERE owner = 5", silent=True)
    one = line.line
    runner = CliRunner(env=environment(one.topology, one.version, one.endpoints))
    raised = runner.invoke(cli, ["epoch", "raise", "--yes", "--topics", str(line.topics)], catch_exceptions=False)
    assert raised.exit_code == 0
    with restarted(line):
        line.filled((-1, "sn_items"))
        assert_right(line)
        assert line.states()["sn_items"].swept == gone
        assert one.check().verdict == "equal"


@pytest.mark.slow
@pytest.mark.long
def test_killed_again_and_again_under_traffic_topics_end_as_mysql(tmp_path: Path) -> None:
    killed_and_compared(tmp_path, rounds=3, kills=2)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_killed_forty_times_under_traffic_topics_end_as_mysql(tmp_path: Path) -> None:
    killed_and_compared(tmp_path, rounds=10, kills=4)


def killed_and_compared(folder: Path, *, rounds: int, kills: int) -> None:
    """Rows vanish and change unseen while others are written; capture dies in the middle of each fill."""
    rng = random.Random(5)
    with servers(folder) as stack, snapped(stack, folder, items=20_000) as line:
        for turn in range(rounds):
            with Writer(line.line.mysql, turn) as writer:
                low = rng.randrange(20_000)
                gone = "name LIKE 'item %%' AND CAST(SUBSTR(name, 6) AS UNSIGNED) BETWEEN %s AND %s"
                line.execute(f"DELETE FROM sn_items WHERE {gone}", low, low + 3000, silent=True)
                line.execute("UPDATE sn_items SET n = n + 1 WHERE name LIKE 'item %%' AND owner = 3", silent=True)
                if turn % 2:
                    line.execute("DELETE FROM sn_notes WHERE id LIKE 'w1%%'", silent=True)
                asked = [line.ask(table) for table in ("sn_items", "sn_notes")]
                for _ in range(kills):
                    time.sleep(rng.uniform(0.3, 2.5))
                    line.kill_capture()
                for one in asked:
                    line.filled(one)
                assert writer.written
            line.caught_up()
            assert_right(line)
