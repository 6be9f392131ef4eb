"""What the page makes of what it hears, where no agent need say it."""

from collections.abc import Iterator

import pytest
from chromium import Console, opened, playwright, started

TOPICS = """
versions:
  future: {database: jobfirst_future}
tables:
  - table: tr_ledger
    key: [id]
    sinks:
      - {sink: redis, tier: realtime, place: "ledger:{id}", keep: mirror}
"""
SHOWN = """async ([file, part, given]) => {
  const made = (await import(`/static/${file}.js`))[part](given);
  const place = document.createElement("div");
  (await import("/static/dom.js")).show(place, made);
  return [...place.querySelectorAll("p, small, td, tbody th, button")].map((one) => one.textContent);
}"""


@pytest.fixture(scope="module")
def console(browser: "playwright.Browser", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """Asked for behind the browser: where there is none, nothing is started."""
    topics = tmp_path_factory.mktemp("page") / "topics.yaml"
    topics.write_text(TOPICS)
    found = started(topics)
    yield found
    found.stop()


AUDIT = {"why": "schedule", "seconds": 1, "verdict": "equal", "different": 0, "by_sink": {"a": "equal"}, "reason": ""}


def test_audits_on_schedule_that_say_the_same_are_one_line(console: Console, browser: "playwright.Browser") -> None:
    undecided = {"verdict": "undecided", "by_sink": {"a": "undecided"}}
    quick, deep, under_way = {"depth": "quick"}, {"depth": "deep"}, {"verdict": None, "seconds": None, "by_sink": {}}
    newest_first = [quick | under_way, quick, deep, quick | {"by_sink": {}}, quick | undecided, quick, deep, deep]
    list_ = [AUDIT | one | {"id": str(place)} for place, one in enumerate(newest_first)]
    with opened(browser, console.url) as page:
        told = page.evaluate("async (list) => (await import('/static/history.js')).runs(list)", list_)
    lines = [(run["newest"]["id"], run["times"], run["oldest"]["id"]) for run in told]
    assert lines == [("0", 1, "0"), ("1", 2, "3"), ("2", 3, "7"), ("4", 1, "4"), ("5", 1, "5")]


def counted(target: str, remainder: int, without: int = 0) -> dict[str, object]:
    return {
        "sink": "redis", "table": "tr_ledger", "target": target, "captured": 1200, "in_flight": 4,
        "remainder": remainder, "at_ms": 60_000, "without": without,
    }  # fmt: skip


def test_conservation_says_what_is_left_over_and_of_when(console: Console, browser: "playwright.Browser") -> None:
    def shown(*targets: dict[str, object]) -> list[str]:
        given = {"state": {"conservation": [*targets]}, "silence": "", "sink": "", "now_ms": 75_000}
        return page.evaluate(SHOWN, ["lanes", "conservation", given])[1:]  # behind what the part is about

    with opened(browser, console.url) as page:
        assert shown() == ["Not counted yet."]
        assert shown(counted("a", 0), counted("b", 0, without=1)) == [
            "All 2 400 records of 2 targets are accounted for, or in flight (8). Counted 15 s ago. "
            "Of 1 target some partitions have no account yet: nothing was delivered from them."
        ]
        assert shown(counted("a", 0), counted("ledger:{id}", -2)) == [
            "Of 1 of 2 targets records are accounted for by nobody, or twice (below nought).",
            "Counted 15 s ago.", "tr_ledger in redisledger:{id}", "ledger:{id}", "1 200", "4", "-2",
        ]  # fmt: skip


def test_an_incident_of_records_has_no_rows_to_show(console: Console, browser: "playwright.Browser") -> None:
    incident = {
        "id": "i", "sink": "redis", "table": "tr_ledger", "class": "unaccounted", "opened_ms": 0, "last_ms": 60_000,
        "closed_ms": None, "rows": 3, "keys": [], "audits": 2, "depth": "accounts", "last_by": "accounts-1",
    }  # fmt: skip
    given = {"state": {"incidents": [incident]}, "closed": [], "silence": "", "now_ms": 75_000}
    with opened(browser, console.url) as page:
        told = page.evaluate(SHOWN, ["history", "incidents", given])
    assert told == [
        "≠redis tr_ledger: 3 records unaccounted for",
        "Captured, and the lane does not say what became of them, or counts them twice. "
        "Whether a row differs for it, an audit says.",
        "since 75 s ago, seen by 2 counts, last 15 s ago ",
    ]
