"""Quality on the whole line: what stores lack and where they differ, counted; and an audit as a page."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from busy import Busy, busy_line
from click.testing import CliRunner

from streams.mysql import session
from tailrace.cli import cli
from tailrace.endpoints import environment

pytestmark = pytest.mark.slow

OURS = range(900_001, 900_041)
"""Rows of the ledger that the traffic leaves alone."""
QUIET = ("users", "resume_skills", "user_behaviors", "role_permissions")
"""Tables of which nothing is made."""

MENDED = {"coverage": "met", "consistency": "met"}


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Busy]:
    with busy_line(tmp_path_factory.mktemp("quality"), rows=2000, rate=50.0) as here:
        for number in OURS:
            here.mysql("INSERT INTO tr_ledger VALUES (%s, 1, 'right', %s, NOW())", number, number % 5 + 1)
        yield here


@contextmanager
def quiet(busy: Busy) -> Iterator[int]:
    """No traffic, and every store has what is committed: how many rows the ledger has."""
    busy.traffic.pause()
    busy.line.settle()
    try:
        with session(busy.line.mysql) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM tr_ledger")
            (found,) = cursor.fetchone() or (0,)
        yield int(found)
    finally:
        busy.traffic.resume()


def ran(busy: Busy, command: str, *options: str, **environ: str) -> tuple[int, dict[str, Any]]:
    env = environment(busy.line.topology, busy.line.version, busy.line.endpoints) | environ
    arguments = [command, "--topics", busy.line.topology.file, "--json", *options]
    result = CliRunner().invoke(cli, arguments, env=env)
    return result.exit_code, json.loads(result.stdout)


def tables(*names: str) -> list[str]:
    return [word for name in names for word in ("--table", name)]


def parts(found: dict[str, Any], measure: str) -> dict[str, dict[str, Any]]:
    (one,) = (one for one in found["measures"] if one["measure"] == measure)
    return {f"{part['table']} {part['part']}".strip(): part for part in one["parts"]}


def test_a_healthy_line_under_traffic_meets_its_targets(busy: Busy) -> None:
    _, found = ran(busy, "quality", *tables(*QUIET))
    verdicts = {one["measure"]: one["verdict"] for one in found["measures"]}
    assert verdicts | {"freshness": "met"} == {  # a busy machine is no failure
        "coverage": "met",
        "completeness": "met",
        "series": "met",
        "consistency": "met",
        "format": "met",
        "logic": "met",
        "freshness": "met",
        "age": "met",
    }, found
    lanes = parts(found, "freshness")
    assert set(lanes) == {
        "postgres realtime: within 0.1 s",
        "redis realtime: within 0.1 s",
        "sqlite local: within 0.5 s",
    }
    assert all(lane["total"] > 0 for lane in lanes.values())
    assert set(parts(found, "coverage")) == {
        *(f"{name} postgres {name}" for name in QUIET),
        *(f"{name} sqlite {name}" for name in QUIET[:3]),
        "resume_skills redis resume_skill:{resume_id}:{skill_id}",
        "role_permissions redis role_permission:{role_name}:{permission_code}",
    }


def test_what_stores_lack_and_where_they_differ_is_counted(busy: Busy) -> None:
    with quiet(busy) as rows:
        lacking = list(OURS)[: rows // 20 + 1]
        assert len(lacking) < len(OURS) - 3
        busy.postgres("DELETE FROM tailrace.tr_ledger WHERE id = ANY($1)", lacking)
        busy.postgres("UPDATE tailrace.tr_ledger SET _tr_h1 = _tr_h1 # 1 WHERE id = ANY($1)", [OURS[-1], OURS[-2]])
        busy.sqlite(str(OURS[-1] % 5 + 1), f"UPDATE _tr_tr_ledger SET _tr_h1 = _tr_h1 + 1 WHERE id = {OURS[-1]}")
        code, found = ran(busy, "quality", *tables("tr_ledger"))
        assert (code, found["verdict"]) == (3, "missed")
        coverage = parts(found, "coverage")
        assert {name: (part["good"], part["total"], part["verdict"]) for name, part in coverage.items()} == {
            "tr_ledger redis ledger:{id}": (rows, rows, "met"),
            "tr_ledger postgres tr_ledger": (rows - len(lacking), rows, "missed"),
            "tr_ledger sqlite tr_ledger": (rows, rows, "met"),
        }
        shown = coverage["tr_ledger postgres tr_ledger"]["examples"]
        assert len(shown) == 3
        assert {key["id"] for key in shown} <= set(lacking)
        whole = parts(found, "consistency")["tr_ledger all its stores"]
        different = len(lacking) + 2
        assert (whole["good"], whole["total"], whole["undecided"]) == (rows - different, rows, 0)
        assert whole["share"] == round((rows - different) / rows, 6)
        assert whole["verdict"] == "missed"


def test_the_page_of_an_audit_lists_those_rows(busy: Busy, tmp_path: Path) -> None:
    path = tmp_path / "audit.html"
    with quiet(busy):
        busy.postgres("DELETE FROM tailrace.tr_ledger WHERE id = $1", OURS[0])
        options = ("--html", str(path), *tables("tr_ledger"))
        code, report = ran(busy, "check", *options)
        assert (code, report["verdict"]) == (3, "different")
        text = path.read_text(encoding="utf-8")
        assert "<b>missing</b>" in text
        assert f"<code>id = {OURS[0]}</code>" in text
        code, _ = ran(busy, "check", *options, "--repair")
        assert code == 0
        assert "Before the repair: audit of version future" in path.read_text(encoding="utf-8")
    _, found = ran(busy, "quality", *tables("tr_ledger"))
    assert {one["measure"]: one["verdict"] for one in found["measures"] if one["measure"] in MENDED} == MENDED


def test_a_page_that_cannot_be_written_is_told_before_the_audit(busy: Busy, tmp_path: Path) -> None:
    arguments = ["check", "--topics", busy.line.topology.file, "--html", str(tmp_path / "none" / "a.html")]
    env = environment(busy.line.topology, busy.line.version, busy.line.endpoints)
    result = CliRunner().invoke(cli, arguments, env=env)
    assert result.exit_code == 2
    assert "there is no folder" in result.output


def test_what_nobody_tells_is_unknown(busy: Busy, tmp_path: Path) -> None:
    """Workers that do not report, and results that nobody makes."""
    code, found = ran(busy, "quality", "--timeout", "3s", *tables("companies"), TAILRACE_HOME=str(tmp_path))
    assert (code, found["verdict"]) == (4, "undecided")
    for measure, name in (
        ("freshness", "postgres realtime"),
        ("coverage", "companies.embedding postgres company_embeddings"),
        ("consistency", "companies.analysis all its stores"),
    ):
        part = parts(found, measure)[name]
        assert (part["verdict"], part["share"], bool(part["reason"])) == ("undecided", None, True), part
