"""Alerts on their way to a server that may refuse them."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest

from tailrace.agent.api import Incident
from tailrace.agent.webhook import ATTEMPTS, Alert, Webhook, alert_of

INCIDENT = Incident(
    "a.postgres.jobs.missing",
    "postgres",
    "jobs",
    "missing",
    1,
    2,
    None,
    "a",
    "b",
    None,
    "quick",
    3,
    True,
    2,
    [{"id": 7}],
)
OPENED = alert_of("opened", "future", 5, INCIDENT)


@contextmanager
def server(*statuses: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Answers so, the last for ever; what came."""
    came: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(statuses[min(len(came), len(statuses) - 1)])
            came.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}/secret-path", came
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


async def outcomes(url: str, *alerts: Alert) -> list[tuple[str, bool]]:
    """What became of each alert, once all are done with."""
    done: list[tuple[str, bool]] = []
    over = asyncio.Event()

    async def sent(alert: Alert, taken: bool) -> None:
        done.append((alert.event, taken))
        if len(done) == len(alerts):
            over.set()

    webhook = Webhook(url, sent, first_wait=0.001)
    running = asyncio.create_task(webhook.run())
    for alert in alerts:
        webhook.send(alert)
    await over.wait()
    running.cancel()
    return done


def test_an_alert_says_what_happened_in_a_line_and_whole() -> None:
    assert OPENED.text == "future: 3 rows missing of jobs in postgres"
    assert alert_of("closed", "future", 5, INCIDENT).text == "future: jobs in postgres is equal again (missing)"
    lost = msgspec.structs.replace(INCIDENT, class_="unaccounted", depth="accounts", rows=1, keys=[])
    assert alert_of("opened", "future", 5, lost).text == "future: 1 record of jobs in postgres is not accounted for"
    assert alert_of("closed", "future", 5, lost).text == "future: the accounts of jobs in postgres add up again"


async def test_what_is_refused_is_sent_again() -> None:
    with server(500, 429, 200) as (url, came):
        assert await outcomes(url, OPENED) == [("opened", True)]
    assert len(came) == 3
    assert (came[0]["event"], came[0]["version"], came[0]["incident"]["class"]) == ("opened", "future", "missing")
    assert came[0] == came[2]


async def test_what_is_never_taken_is_left_and_the_next_one_goes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    closed = alert_of("closed", "future", 6, INCIDENT)
    with server(*[404] * ATTEMPTS, 204) as (url, came):
        assert await outcomes(url, OPENED, closed) == [("opened", False), ("closed", True)]
        assert len(came) == ATTEMPTS + 1
        (line,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
        assert line == "the webhook did not take an alert (it answers 404): future: 3 rows missing of jobs in postgres"
    assert "secret-path" not in caplog.text


async def test_a_server_that_is_away_or_an_address_that_is_none_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with server(200) as (url, _):
        pass
    assert await outcomes(url, OPENED) == [("opened", False)]
    assert await outcomes("no address", OPENED) == [("opened", False)]
    assert "secret-path" not in caplog.text


async def test_without_an_address_nothing_is_sent() -> None:
    async def sent(_: Alert, __: bool) -> None:
        raise AssertionError

    webhook = Webhook("", sent)
    webhook.send(OPENED)
    assert webhook._waiting.empty()
