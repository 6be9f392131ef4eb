"""The consistency agent on real servers: it finds a row that somebody spoilt, alarms, mends it when told to, and closes
what it opened."""

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from asked import Asked, Hook, hooked
from busy import Busy
from line import line

from tailrace.example.traffic import Traffic
from tailrace.pipeline import Pipeline
from tailrace.places import home
from tailrace.reports import Reports
from tailrace.stack import Stack

pytestmark = pytest.mark.slow

TOPICS = """
versions:
  future: {database: jobfirst_future, audit: {quick: 2s, deep: 1h}}
tables:
  - table: users
    key: [id]
    user: id
    columns: {drop: [password_hash], personal: [email, phone]}
    sinks:
      - {sink: postgres, tier: realtime, personal: allow}
  - table: tr_ledger
    key: [id]
    user: user_id
    sinks:
      - {sink: redis,    tier: realtime, place: "ledger:{id}", keep: mirror}
      - {sink: postgres, tier: realtime}
      - {sink: sqlite,   tier: local}
"""
OURS = range(900_001, 900_011)
"""Rows of the ledger, and users, that the traffic leaves alone."""


@dataclass
class Watched(Asked):
    busy: Busy
    servers: Stack
    hook: Hook


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    with hooked() as taken:
        yield taken


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, hook: Hook) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("agent")
    topics = folder / "topics.yaml"
    topics.write_text(TOPICS)
    servers = Stack(folder / "stack", environ={"HOME": str(Path.home())}, report=print)
    servers.up()
    try:
        with (
            pytest.MonkeyPatch.context() as patch,
            line(servers.endpoints()["future"], folder, rows=200, topics=topics) as running,
        ):
            patch.setenv("FUTURE_ALERT_WEBHOOK", hook.url)
            agent = Pipeline(
                running.topology,
                {"future": running.endpoints},
                topics=topics,
                roles=["audit"],
                log_file=folder / "agent.log",
            )
            traffic = Traffic(running.endpoints["mysql"], rate=50, seed=3, ledger=True)
            traffic.start()
            agent.start()
            try:
                here = Watched(Reports(home(), "future").socket, Busy(running, traffic), servers, hook)
                for number in OURS:
                    here.busy.mysql("INSERT INTO tr_ledger VALUES (%s, 1, 'right', %s, NOW())", number, number % 5 + 1)
                here.busy.mysql(
                    "INSERT INTO users (id, user_id, username, email, password_hash) "
                    "VALUES (%s, 'ours', 'ours', 'ours@example.org', '-')",
                    OURS[0],
                )
                here.until(here.socket.exists)
                yield here
            finally:
                agent.stop()
                traffic.stop()
    finally:
        servers.down()


def test_a_line_in_order_is_equal_in_every_store(watched: Watched) -> None:
    def all_equal() -> bool:
        return {one["state"] for one in watched.get("/state")["stores"]} == {"equal"}

    watched.until(all_equal)
    watched.until(lambda: [one for one in watched.get("/audits") if one["depth"] == "deep" and one["verdict"]])
    state = watched.get("/state")
    assert state["incidents"] == []
    assert [one["sink"] for one in state["stores"]] == ["postgres", "redis", "sqlite"]
    assert {one["depth"] for one in state["next"]} == {"quick", "deep"}
    assert state["capture"]["state"] == "running"
    assert watched.socket.stat().st_mode & 0o777 == 0o600


def spoil(watched: Watched, statement: str, *arguments: object) -> None:
    watched.busy.postgres(statement, *arguments)


def test_a_missing_row_is_an_incident_until_it_is_repaired(watched: Watched) -> None:
    spoil(watched, "DELETE FROM tailrace.tr_ledger WHERE id = $1", OURS[0])
    incident = watched.incident("postgres")
    key = {"id": OURS[0]}
    assert (incident["table"], incident["class"], incident["rows"], incident["keys"]) == (
        "tr_ledger",
        "missing",
        1,
        [key],
    )
    assert watched.store("postgres")["state"] == "different"
    found = watched.get(f"/audits/{incident['opened_by']}")
    assert (found["verdict"], found["depth"], found["by_sink"]["postgres"]) == ("different", "quick", "different")
    (side,) = watched.get(f"/differences/{incident['opened_by']}", sink="postgres", table="tr_ledger")
    assert (side["key"], side["mysql_has"], side["store_has"]) == (key, True, False)
    order = {"audit": incident["opened_by"], "sink": "postgres", "table": "tr_ledger", "keys": [key]}
    dry = watched.done(watched.post("/repairs", {**order, "dry_run": True})["id"])
    assert (dry["asked"], dry["dry_run"], dry["verdict"]) == ({"tr_ledger": [[OURS[0]]]}, True, "different")
    mended = watched.done(watched.post("/repairs", order)["id"])
    assert (mended["why"], mended["verdict"], mended["asked"]) == ("repair", "equal", {"tr_ledger": [[OURS[0]]]})
    assert watched.until(lambda: not watched.get("/state")["incidents"])
    (closed,) = [one for one in watched.get("/incidents") if one["id"] == incident["id"]]
    assert closed["closed_by"] == mended["id"]
    watched.until(lambda: len(watched.hook.alerts) >= 2)
    assert watched.hook.refused == 1
    told = [(one["event"], one["incident"]["id"], one["version"]) for one in watched.hook.alerts]
    assert told == [("opened", incident["id"], "future"), ("closed", incident["id"], "future")]
    assert watched.store("postgres")["state"] == "equal"


def test_what_only_values_show_is_found_by_a_deep_audit_and_closed_by_the_rows_next_change(watched: Watched) -> None:
    spoil(watched, "UPDATE tailrace.tr_ledger SET payload = 'wrong' WHERE id = $1", OURS[1])
    asked = watched.post("/audits", {"depth": "deep", "tables": ["tr_ledger"]})["id"]
    assert watched.done(asked)["verdict"] == "different"
    incident = watched.incident("postgres")
    assert (incident["class"], incident["depth"]) == ("altered", "deep")
    (side,) = watched.get(f"/differences/{asked}", sink="postgres", table="tr_ledger")
    assert {one["name"]: (one["mysql"], one["store"]) for one in side["columns"] if one["differs"]} == {
        "payload": ("right", "wrong")
    }
    quicks = [one for one in watched.get("/audits") if one["depth"] == "quick"]
    watched.until(lambda: [one for one in watched.get("/audits") if one["depth"] == "quick"] != quicks)
    assert watched.get("/state")["incidents"], "a quick audit closed what it cannot see"
    watched.busy.mysql("UPDATE tr_ledger SET n = n + 1 WHERE id = %s", OURS[1])
    assert watched.until(lambda: not watched.get("/state")["incidents"])


def test_personal_columns_are_masked(watched: Watched) -> None:
    spoil(watched, "UPDATE tailrace.users SET email = 'x@example.org', status = 'odd' WHERE id = $1", OURS[0])
    asked = watched.post("/audits", {"depth": "deep", "sinks": ["postgres"], "tables": ["users"]})["id"]
    assert watched.done(asked)["different"] == 1
    (side,) = watched.get(f"/differences/{asked}", sink="postgres", table="users")
    columns = {one["name"]: one for one in side["columns"]}
    assert columns["email"] == {"name": "email", "mysql": None, "store": None, "differs": True, "masked": True}
    assert (columns["status"]["store"], columns["status"]["differs"]) == ("odd", True)
    assert "password_hash" not in columns
    order = {"audit": asked, "sink": "postgres", "table": "users"}
    assert watched.done(watched.post("/repairs", order)["id"])["verdict"] == "equal"
    assert watched.until(lambda: not watched.get("/state")["incidents"])


def test_a_store_that_is_away_is_unknown_and_comes_back(watched: Watched) -> None:
    watched.servers.stop_server("future.redis")
    watched.until(lambda: watched.store("redis")["state"] == "unknown")
    asked = watched.post("/audits", {"depth": "quick"})["id"]
    found = watched.done(asked)
    assert (found["verdict"], found["by_sink"]["redis"], found["by_sink"]["postgres"]) == (
        "undecided",
        "undecided",
        "equal",
    )
    watched.servers.start_server("future.redis")
    watched.until(lambda: watched.store("redis")["state"] == "equal")


def test_what_was_found_is_remembered_by_an_agent_that_is_started_again(watched: Watched) -> None:
    before = watched.get("/audits", limit="3")[-1]
    incidents = [one["id"] for one in watched.get("/incidents")]
    state = json.loads((watched.socket.parent / "agent.json").read_text())
    assert state["state"] == "running"
    os.kill(state["pid"], signal.SIGKILL)
    watched.until(lambda: json.loads((watched.socket.parent / "agent.json").read_text())["pid"] != state["pid"])
    watched.until(lambda: watched.get("/state"))
    assert watched.get(f"/audits/{before['id']}")["report"] is not None
    assert [one["id"] for one in watched.get("/incidents")] == incidents


def test_wrong_orders_are_refused_in_words(watched: Watched) -> None:
    refused = watched.post("/audits", {"sinks": ["nowhere"]}, status=400)
    assert refused == {"error": "there is no sink `nowhere`: there are postgres, redis, sqlite"}
    assert "depth" in watched.post("/audits", {"depth": "half"}, status=400)["error"]
    order = {"audit": "none", "sink": "postgres", "table": "users"}
    assert watched.post("/repairs", order, status=404)["error"].startswith("there is no audit `none`")
    assert watched.get("/audits/none")["error"].startswith("there is no audit")
    assert watched.get("/letters") == []


def test_metrics_and_trend(watched: Watched) -> None:
    """Counters begin with the process: this agent may not have audited yet."""
    for sample in (
        'tailrace_store_state{sink="postgres",state="equal",version="future"} 1.0',
        'tailrace_audits_total{depth="quick",verdict="equal",version="future"}',
    ):
        watched.until(lambda wanted=sample: wanted in watched.text("/metrics"))
    trend = watched.get("/trend", since_ms="0")
    lane = trend["lanes"]["postgres.realtime"]
    assert len(lane["lag_s"]) == len(lane["waiting"]) == len(trend["at_ms"]) > 0
