"""The console in a real browser, over a real line and its agent. Skipped where there is no Chromium."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from busy import Busy
from line import line

from tailrace.example.traffic import Traffic
from tailrace.pipeline import Pipeline
from tailrace.stack import Stack

playwright = pytest.importorskip("playwright.sync_api")
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
PATIENCE_MS = 120_000
NOT_OF_THE_PAGE = ("net::ERR_", "Failed to load resource")
"""What the browser says of a console that was stopped on purpose."""


@dataclass
class Console:
    """A running ``tailrace console``; ``token`` is empty where it is read-only."""

    process: "subprocess.Popen[str]"
    url: str
    token: str

    @property
    def port(self) -> str:
        return self.url.rstrip("/").rpartition(":")[2]

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(30) == 0
        if self.process.stderr is not None:
            self.process.stderr.close()


def started(topics: Path, *options: str, port: str = "0") -> Console:
    """Its environment names no server of any version."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("FUTURE_")}
    words = [sys.executable, "-m", "tailrace", "console", "--topics", str(topics), "--port", port, *options]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environ)
    assert process.stderr is not None
    told = process.stderr.readline()
    url = re.search(r"http://\S+", told)
    assert url is not None, told
    token = process.stderr.readline().rpartition(" ")[2].strip() if "--write" in options else ""
    return Console(process, url[0], token)


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


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium here")
    with playwright.sync_playwright() as started_:
        browser = started_.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: "playwright.Browser", url: str, **options: object) -> Iterator["playwright.Page"]:
    """The page; whatever its scripts complain of, or the policy forbids, fails the test."""
    complaints: list[str] = []
    context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.goto(url)
    yield page
    context.close()
    assert [one for one in complaints if not any(word in one for word in NOT_OF_THE_PAGE)] == []


def seen(found: "playwright.Locator", text: "str | re.Pattern[str]") -> None:
    playwright.expect(found).to_contain_text(text, timeout=PATIENCE_MS)


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


AUDIT = {"why": "schedule", "seconds": 1, "verdict": "equal", "different": 0, "by_sink": {"a": "equal"}, "reason": ""}


def test_audits_on_schedule_that_say_the_same_are_one_line(looked: Looked, browser: "playwright.Browser") -> None:
    undecided = {"verdict": "undecided", "by_sink": {"a": "undecided"}}
    quick, deep, under_way = {"depth": "quick"}, {"depth": "deep"}, {"verdict": None, "seconds": None, "by_sink": {}}
    newest_first = [quick | under_way, quick, deep, quick | {"by_sink": {}}, quick | undecided, quick, deep, deep]
    list_ = [AUDIT | one | {"id": str(place)} for place, one in enumerate(newest_first)]
    with opened(browser, looked.console.url) as page:
        told = page.evaluate("async (list) => (await import('/static/history.js')).runs(list)", list_)
    lines = [(run["newest"]["id"], run["times"], run["oldest"]["id"]) for run in told]
    assert lines == [("0", 1, "0"), ("1", 2, "3"), ("2", 3, "7"), ("4", 1, "4"), ("5", 1, "5")]


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
