"""A console that runs, and its page in a real browser."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

playwright = pytest.importorskip("playwright.sync_api")

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
        ended = self.process.wait(30)
        if self.process.stderr is not None:
            self.process.stderr.close()
        assert ended == 0


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
