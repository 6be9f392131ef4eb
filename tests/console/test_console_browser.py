"""The console in a real browser, over a real line and its agent. Skipped where there is no Chromium."""

import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from busy import Busy
from chromium import Console, opened, playwright, seen, started
from line import line

from tailrace.example.traffic import Traffic
from tailrace.pipeline import Pipeline
from tailrace.stack import Stack

pytestmark = pytest.mark.timeout(900)

TOPICS = """
versions:
  future: {database: jobfirst_future, audit: {quick: 3s, deep: 1h}}
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


@dataclass
class Looked:
    busy: Busy
    servers: Stack
    agent: Pipeline
    topics: Path
    console: Console

    def postgres(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """In a thread of its own, for this one is the browser's."""
        with ThreadPoolExecutor(1) as aside:
            return aside.submit(self.busy.postgres, statement, *arguments).result()

    def agent_pid(self) -> int:
        return self.agent.pids()["future.audit"]


@pytest.fixture(scope="module")
def looked(servers: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looked]:
    folder = tmp_path_factory.mktemp("console")
    topics = folder / "topics.yaml"
    topics.write_text(TOPICS)
    with line(servers.endpoints()["future"], folder, rows=100, topics=topics) as running:
        agent = Pipeline(
            running.topology,
            {"future": running.endpoints},
            topics=topics,
            roles=["audit"],
            log_file=folder / "agent.log",
        )
        agent.start()
        busy = Busy(running, Traffic(running.endpoints["mysql"], rate=1, seed=3, ledger=True))
        found = Looked(busy, servers, agent, topics, started(topics, "--write"))
        try:
            yield found
        finally:
            found.console.stop()
            agent.stop()


def cell(page: "playwright.Page", sink: str) -> "playwright.Locator":
    return page.locator(f'#matrix button[data-version="future"][data-sink="{sink}"]')


def confirm(page: "playwright.Page", says: str, token: str) -> None:
    """Say yes to what is asked, with the token where it is asked for."""
    seen(page.locator("#confirm"), says)
    if page.locator("#confirm-token").is_visible():
        page.locator("#confirm-token").fill(token)
    page.locator("#confirm-yes").click()


def test_a_store_that_is_stopped_turns_and_comes_back(looked: Looked, browser: "playwright.Browser") -> None:
    with opened(browser, looked.console.url) as page:
        seen(page.locator("#answer"), "Everything is equal")
        for sink in ("redis", "postgres", "sqlite"):
            seen(cell(page, sink), "equal")
        looked.servers.stop_server("future.redis")
        try:
            seen(cell(page, "redis"), "unknown")
            seen(page.locator("#answer"), re.compile("Not everything is known.*1 of 3 stores is unknown: future redis"))
            seen(cell(page, "postgres"), "equal")
        finally:
            looked.servers.start_server("future.redis")
        seen(cell(page, "redis"), "equal")
        seen(page.locator("#answer"), "Everything is equal")


def test_a_tampered_row_is_listed_with_both_values_and_mended(looked: Looked, browser: "playwright.Browser") -> None:
    looked.busy.line.settle()
    (row,) = looked.postgres("SELECT id, status, email FROM tailrace.users ORDER BY id LIMIT 1")
    looked.postgres("UPDATE tailrace.users SET status = 'spoilt', email = 'x@spoilt.example' WHERE id = $1", row["id"])
    with opened(browser, looked.console.url) as page:
        page.get_by_role("button", name="Audit now, deep…").click()
        confirm(page, "Audit every store of future?", "not the token")
        seen(page.locator("#confirm-error"), "the token is wrong")
        confirm(page, "No row is changed", looked.console.token)
        seen(page.locator("#work"), re.compile("deep audit of every store: different"))
        seen(cell(page, "postgres"), "different")
        seen(page.locator("#incidents"), "postgres users: 1 row altered")

        group = page.locator("article.group")
        seen(group, "users in postgres")
        seen(group.locator(".row"), f"id = {row['id']}")
        status = group.locator("tr.differs", has_text="status").locator("td")
        assert [text.replace("…", "") for text in status.all_inner_texts()] == [str(row["status"]), "spoilt"]
        email = group.locator("tr.differs", has_text="email").locator("td")
        assert email.all_inner_texts() == ["personal, differs", "personal, differs"]
        for secret in ("x@spoilt.example", str(row["email"])):
            assert secret not in page.content()

        group.get_by_role("button", name="Repair these…").click()
        seen(page.locator("#confirm"), f"id = {row['id']}")
        confirm(page, "Repair 1 row of users in postgres, future?", looked.console.token)
        seen(page.locator("#work"), re.compile("Repair of 1 row of users in postgres: equal.*1 row asked of capture"))
        seen(cell(page, "postgres"), "equal")
        seen(page.locator("#answer"), "Everything is equal")
        seen(page.locator("#differing"), "None that an audit knows of")
        ordered = page.locator('#audits tbody[data-key="ordered"] tr')  # whatever the schedule has done since
        seen(ordered.nth(1), re.compile("repair, keys.*equal"))
        seen(ordered.nth(2), re.compile("asked, deep.*different"))
    assert looked.postgres("SELECT id, status, email FROM tailrace.users WHERE id = $1", row["id"]) == [row]


def test_an_agent_that_hangs_is_unknown_and_never_green(looked: Looked, browser: "playwright.Browser") -> None:
    with opened(browser, looked.console.url) as page:
        seen(page.locator("#answer"), "Everything is equal")
        os.kill(looked.agent_pid(), signal.SIGSTOP)
        try:
            seen(page.locator("#matrix"), "the agent does not answer within 3 s")
            playwright.expect(page.locator("#matrix .state.unknown")).to_have_count(3)
            playwright.expect(page.locator("#matrix .state.equal")).to_have_count(0)
            seen(page.locator("#lanes"), "Not known")
        finally:
            os.kill(looked.agent_pid(), signal.SIGCONT)
        seen(page.locator("#answer"), "Everything is equal")


def test_keys_reach_everything_and_a_phone_shows_it(looked: Looked, browser: "playwright.Browser") -> None:
    for scheme in ("light", "dark"):
        with opened(browser, looked.console.url, viewport={"width": 390, "height": 800}, color_scheme=scheme) as page:
            seen(cell(page, "postgres"), "equal")
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            cell(page, "postgres").focus()
            page.keyboard.press("Enter")
            seen(page.locator("#versions"), "Below: future, postgres only.")
            playwright.expect(cell(page, "postgres")).to_have_attribute("aria-pressed", "true")
            playwright.expect(cell(page, "postgres")).to_be_focused()
            playwright.expect(page.locator("#lanes tbody tr")).to_have_count(1)


def test_a_console_that_went_away_is_said_and_found_again(looked: Looked, browser: "playwright.Browser") -> None:
    with opened(browser, looked.console.url) as page:
        seen(page.locator("#answer"), "Everything is equal")
        port = looked.console.port
        looked.console.stop()
        seen(page.locator("#answer"), "Nothing is known now")
        seen(page.locator("#live"), "old: last heard")
        playwright.expect(page.locator("#matrix .state.equal")).to_have_count(0)
        looked.console = started(looked.topics, port=port)
        seen(page.locator("#answer"), "Everything is equal")
        seen(page.locator("#live"), "read-only")
        playwright.expect(page.locator('[data-act="audit"], [data-act="repair"], [data-act="retry"]')).to_have_count(0)
