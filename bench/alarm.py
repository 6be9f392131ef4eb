"""From tampering to alarm, under the agent's default schedule.

``python -m bench.alarm [--rows N] [--rate N] [--missing N] [--edited N]``: one JSON object on stdout. Servers of the
profile ``core`` are started, filled and kept in step under traffic, with the agent beside them. Values are then edited
in PostgreSQL beside their hashes, which deep audits see, and meanwhile rows taken out, which quick ones see, at random
moments of the schedule; the time until the alert arrives at a webhook is what is printed, with the longest that it can
take by the schedule and the audits' own lengths, and with what the agent costs at rest. Only rows are looked at: what
models make of them is left out of the declaration.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import yaml

from audit.schedule import LATEST, QUICK_SHARE, Rhythm
from changes.topology import Topology
from streams.kafka import KafkaUrl
from streams.mysql import MysqlUrl, connect
from streams.watch import lanes_of, wait
from tailrace.declared import read_whole
from tailrace.endpoints import having
from tailrace.example.load import load
from tailrace.example.traffic import Traffic
from tailrace.pipeline import EVERY_ROLE, Pipeline
from tailrace.reports import Reports
from tailrace.stack import Stack

TOPICS = Path(__file__).parents[1] / "topics.yaml"
FIRST = 5_000_001
"""The least id of the rows that are spoilt; the generator and the traffic number theirs from 1."""
MISSING, EDITED = "companies missing", "companies altered"
REST = 20.0
"""Seconds for which the agent's rest is watched."""


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class Alarm:
    """A server that notes when alerts come in."""

    def __init__(self) -> None:
        self.came: dict[tuple[str, str], float] = {}
        alarm = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["content-length"])))
                incident = told["incident"]
                alarm.came[told["event"], f"{incident['table']} {incident['class']}"] = time.monotonic()
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def came_in(self, what: str) -> bool:
        return ("opened", what) in self.came

    def wait(self, event: str, what: str, began: float, limit: float) -> float:
        """Seconds since ``began`` when it came."""
        while (at := self.came.pop((event, what), None)) is None:
            if time.monotonic() - began > limit:
                raise SystemExit(f"no alert of {what} within {limit:.0f} s")
            time.sleep(0.01)
        return at - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=50.0, help="changes a second")
    parser.add_argument("--missing", type=int, default=8, help="rows taken out, one after the other")
    parser.add_argument("--edited", type=int, default=2, help="values edited beside their hashes")
    arguments = parser.parse_args()
    with ExitStack() as leaving:
        folder = Path(leaving.enter_context(tempfile.TemporaryDirectory(prefix="tailrace-alarm-")))
        alarm = Alarm()
        leaving.callback(alarm.server.shutdown)
        os.environ |= {"TAILRACE_HOME": str(folder / "home"), "FUTURE_ALERT_WEBHOOK": alarm.url}
        stack = Stack(folder / "stack", report=say)
        leaving.callback(stack.down)
        stack.up()
        print(json.dumps(measured(arguments, folder, stack.endpoints()["future"], alarm), indent=2))


def measured(arguments: argparse.Namespace, folder: Path, endpoints: dict[str, str], alarm: Alarm) -> dict[str, Any]:
    topics = folder / "topics.yaml"
    topics.write_text(yaml.safe_dump(without_models(yaml.safe_load(TOPICS.read_text()))))
    topology = having(read_whole(topics), endpoints)
    load(endpoints["mysql"], arguments.rows, 1)
    line = Pipeline(topology, {"future": endpoints}, topics=topics, roles=EVERY_ROLE, log_file=folder / "line.log")
    line.start()
    traffic = Traffic(endpoints["mysql"], rate=arguments.rate, seed=3)
    agent = Agent(Reports(folder / "home", "future").socket)
    try:
        settle(topology, endpoints)
        agent.until("the first deep audit", lambda: bool(agent.audits("deep")), 3600)
        rest = agent.at_rest()
        traffic.start()
        spoil = Spoil(endpoints, arguments.missing + arguments.edited)  # beyond the ids that the traffic has seen
        settle(topology, endpoints)
        rng = random.Random(7)
        missing: list[float] = []
        edited: list[float] = []

        def take_out(unless: Callable[[], bool]) -> None:
            while len(missing) < arguments.missing and not unless():
                time.sleep(rng.uniform(0, 60))
                missing.append(spoil.missing(alarm))
                say(f"missing: {missing[-1]:.1f} s")

        for _ in range(arguments.edited):
            time.sleep(rng.uniform(0, 60))
            id_, began = spoil.edit()
            take_out(unless=partial(alarm.came_in, EDITED))
            edited.append(alarm.wait("opened", EDITED, began, 3600))
            say(f"edited: {edited[-1]:.1f} s")
            spoil.mend(id_, alarm)
        take_out(unless=lambda: False)
        rhythm = Rhythm.of(topology.declared.versions["future"].audit)
        quick, deep = ([one["seconds"] for one in agent.audits(depth)] for depth in ("quick", "deep"))
        return {
            "rows": arguments.rows,
            "changes_a_second": round(traffic.stats().rate, 1),
            "schedule_s": {"quick": rhythm.quick, "deep": rhythm.deep, "share": rhythm.share},
            "from_a_missing_row_to_the_alert_s": summary(missing),
            "from_an_edited_value_to_the_alert_s": summary(edited),
            "longest_by_the_schedule_s": longest(rhythm, max(quick), max(deep)),
            "quick_audit_s": summary(quick),
            "deep_audit_s": summary(deep),
            "verdicts": sorted({one["verdict"] for one in agent.audits("")}),
            "at_rest": rest,
            "mb": agent.rss(),
        }
    finally:
        traffic.stop()
        line.stop()


def settle(topology: Topology, endpoints: dict[str, str]) -> None:
    """Wait until every store has what is committed."""
    mysql, kafka = MysqlUrl.parse(endpoints["mysql"]), KafkaUrl.parse(endpoints["kafka"])
    if not wait(mysql, kafka, lanes_of(topology, "future"), version="future", timeout=3600).done:
        raise SystemExit("not filled")


def longest(rhythm: Rhythm, quick: float, deep: float) -> dict[str, float]:
    """From tampering to the end of the audit that sees it, by the longest audits: it came just behind the last one's
    look, and the other depth has its turn in between."""
    both = quick + deep
    apart = {
        "missing": max(rhythm.quick, quick / QUICK_SHARE),
        "edited": min(max(rhythm.deep, deep / rhythm.share), max(LATEST, rhythm.deep)),
    }
    return {what: round(between + both, 1) for what, between in apart.items()}


def summary(seconds: list[float]) -> dict[str, float] | None:
    if not seconds:
        return None
    return {
        "number": len(seconds),
        "median": round(statistics.median(seconds), 2),
        "max": round(max(seconds), 2),
        "min": round(min(seconds), 2),
    }


def without_models(declared: dict[str, Any]) -> dict[str, Any]:
    for table in declared["tables"]:
        table.pop("enrich", None)
        table["sinks"] = [sink for sink in table["sinks"] if "of" not in sink]
    declared["tables"] = [table for table in declared["tables"] if table["sinks"]]
    return declared


class Spoil:
    """Companies that nothing else writes, spoilt in PostgreSQL behind the line's back and put right again."""

    def __init__(self, endpoints: dict[str, str], number: int) -> None:
        self._url = endpoints["postgres"]
        self._ids = list(range(FIRST, FIRST + number))
        with closing(connect(MysqlUrl.parse(endpoints["mysql"]))) as connection, connection.cursor() as cursor:
            for id_ in self._ids:
                cursor.execute("INSERT INTO companies (id, name) VALUES (%s, %s)", (id_, f"spoilt {id_}"))

    def missing(self, alarm: Alarm) -> float:
        (row,) = self._run("SELECT * FROM tailrace.companies WHERE id = $1", self._ids.pop())
        began = time.monotonic()
        self._run("DELETE FROM tailrace.companies WHERE id = $1", row["id"])
        seconds = alarm.wait("opened", MISSING, began, 900)
        names, marks = ", ".join(row.keys()), ", ".join(f"${place}" for place, _ in enumerate(row, 1))
        self._run(f"INSERT INTO tailrace.companies ({names}) VALUES ({marks})", *row.values())
        alarm.wait("closed", MISSING, time.monotonic(), 900)
        return seconds

    def edit(self) -> tuple[int, float]:
        """The row, and when it was edited."""
        id_ = self._ids.pop()
        began = time.monotonic()
        self._run("UPDATE tailrace.companies SET name = name || '.' WHERE id = $1", id_)
        return id_, began

    def mend(self, id_: int, alarm: Alarm) -> None:
        self._run("UPDATE tailrace.companies SET name = $1 WHERE id = $2", f"spoilt {id_}", id_)
        alarm.wait("closed", EDITED, time.monotonic(), 900)

    def _run(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        async def run() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(self._url)
            try:
                return await connection.fetch(statement, *arguments)
            finally:
                await connection.close()

        return asyncio.run(run())


class Agent:
    """The agent, seen from outside."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def audits(self, depth: str) -> list[dict[str, Any]]:
        found = [one for one in self._get("/audits?limit=1000") or [] if one["verdict"]]
        return [one for one in found if one["depth"] == depth or not depth]

    def until(self, what: str, done: Callable[[], bool], limit: float) -> None:
        deadline = time.monotonic() + limit
        while not done():
            if time.monotonic() > deadline:
                raise SystemExit(f"no end of {what}")
            time.sleep(0.5)

    def at_rest(self) -> dict[str, float]:
        """The share of one core that the agent takes between two audits."""
        while True:
            self.until("rest", lambda: self._running() is None, 600)
            before, began = self._cpu(), time.monotonic()
            time.sleep(REST)
            if self._running() is None:
                seconds = time.monotonic() - began
                return {"cpu_share": round((self._cpu() - before) / seconds, 4), "seconds": round(seconds, 1)}

    def rss(self) -> int:
        status = Path(f"/proc/{self._pid()}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) >> 10

    def _running(self) -> Any:
        state = self._get("/state")
        return state["running"] if state else "unknown"

    def _pid(self) -> int:
        return int(json.loads((self._socket.parent / "agent.json").read_text())["pid"])

    def _cpu(self) -> float:
        fields = Path(f"/proc/{self._pid()}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _get(self, path: str) -> Any:
        transport = httpx.HTTPTransport(uds=str(self._socket))
        with httpx.Client(transport=transport, base_url="http://agent", timeout=30) as client:
            try:
                return client.get(path).json()
            except httpx.TransportError:
                return None


if __name__ == "__main__":
    main()
