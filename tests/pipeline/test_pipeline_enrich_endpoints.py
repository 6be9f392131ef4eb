"""Whatever the endpoint does, every row ends analysed or marked degraded, soon; and gets better by itself."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from enriched import TABLE, analysed, configured, in_mysql, in_postgres, inserted, postgres_results, told, wrong
from enrichers_server import Handler, analyses, dies, half, hangs, refuses, says, server
from line import Line

from tailrace.endpoints import environment
from tailrace.stack import Stack

pytestmark = pytest.mark.slow

ROWS = 20

BAD: dict[str, Callable[[Handler], None]] = {
    "slow": hangs,
    "429": refuses(429),
    "429 for a second": refuses(429, Retry_After="1"),
    "500": refuses(500),
    "no JSON": says("I would rather not."),
    "half a body": half,
    "dies": dies,
    "429 for an hour": refuses(429, Retry_After="3600"),  # the last one: it is left alone for as long
}


def each_third(bad: Callable[[Handler], None]) -> Callable[[Handler], None]:
    """Every third request goes wrong."""

    def act(handler: Handler) -> None:
        (bad if len(handler.script.requests) % 3 == 0 else analyses())(handler)

    return act


def outcomes(running: Line, ids: list[int]) -> dict[str, int]:
    """How many rows were analysed, and how many are marked; all of them are one or the other."""
    assert wrong(running, ids) == []
    stored = postgres_results(running)
    results = [stored[number] for number in ids]
    assert {(result.provider, result.degraded) for result in results} <= {("endpoint", 0), ("rules", 1)}
    return {"analysed": sum(not one.degraded for one in results), "degraded": sum(one.degraded for one in results)}


@pytest.mark.long
def test_every_row_ends_analysed_or_degraded_and_marked(servers: Stack, tmp_path: Path) -> None:
    with server(analyses()) as (url, script):
        environ = configured(url, TIMEOUT=1, RETRY=1)
        with analysed(servers.endpoints()["future"], tmp_path, environ) as running:
            for name, bad in BAD.items():
                for always, act in ((True, bad), (False, each_third(bad))):
                    script.acts[0] = act
                    title = f"{name} {always} {{id}} n=0"
                    began, called = time.monotonic(), len(script.requests)
                    time.sleep(1.5)  # an endpoint that failed is tried again after a second
                    ids = inserted(running, ROWS, title=title)
                    running.settle(60)
                    seconds, found = time.monotonic() - began, outcomes(running, ids)
                    report = {"endpoint": name, "always": always, "calls": len(script.requests) - called, **found}
                    print(json.dumps({**report, "seconds": round(seconds, 1)}))
                    assert sum(found.values()) == ROWS
                    assert report["calls"] or name == "429 for an hour"
                    assert found["analysed"] == 0 or not always


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_answers_so_slow_that_kafka_is_not_asked_for_a_quarter_of_an_hour(servers: Stack, tmp_path: Path) -> None:
    """Faust asks Kafka for more once it has handed over what it has, all but 4,096 rows of it. By its own settings it
    would be out of the group by then, and stay so."""
    slow_until = time.monotonic() + 1040

    def answers(handler: Handler) -> None:
        analyses(8.0 if time.monotonic() < slow_until else 0.0)(handler)

    with server(answers) as (url, script):
        environ = configured(url, TIMEOUT=60)
        with analysed(servers.endpoints()["future"], tmp_path, environ) as running:
            ids = inserted(running, 7000)
            running.settle(3000)
            assert time.monotonic() > slow_until, "it was not slow enough"
            assert outcomes(running, ids) == {"analysed": len(ids), "degraded": 0}
            assert len(script.requests) >= len(ids)


def test_degraded_results_get_better_by_themselves(servers: Stack, tmp_path: Path) -> None:
    with server(refuses(500)) as (url, script):
        environ = configured(url, TIMEOUT=1, RETRY=2)
        with analysed(servers.endpoints()["future"], tmp_path, environ) as running:
            ids = inserted(running, ROWS, title="to be bettered {id} n=0")
            running.settle(60)
            assert outcomes(running, ids) == {"analysed": 0, "degraded": ROWS}
            positions = {number: one.position for number, one in postgres_results(running).items()}
            script.acts[0] = analyses()
            bettered(running, ids)
            after = postgres_results(running)
            assert all(after[number].position > positions[number] for number in ids), "told anew, in the stream's order"
            records, calls = told(running).records, len(script.requests)
            time.sleep(5)
            running.settle(60)
            assert (told(running).records, len(script.requests)) == (records, calls), "nothing more to better"


def bettered(running: Line, ids: list[int], again: Callable[[], object] = lambda: None, timeout: float = 120.0) -> None:
    """Wait until no result is degraded; ``again`` is done meanwhile, now and then."""
    deadline = time.monotonic() + timeout
    while outcomes(running, ids) != {"analysed": len(ids), "degraded": 0}:
        assert time.monotonic() < deadline, in_postgres(
            running, "SELECT key, tries, due, now() FROM tailrace.enrich_said WHERE degraded"
        )
        again()
        time.sleep(2)
        running.settle(60)


def reenriched(running: Line, folder: Path, *options: str) -> dict[str, Any]:
    """What `tailrace reenrich jobs` says of the analyses."""
    environ = environment(running.topology, running.version, running.endpoints)
    topics = str(folder / "topics.yaml")
    command = [sys.executable, "-m", "tailrace.cli", "reenrich", TABLE, "--topics", topics, "--json", *options]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (one,) = found["enrichers"]
    return {"asked": found["asked"], **one}


def test_results_are_made_again_by_hand_with_an_estimate_first(servers: Stack, tmp_path: Path) -> None:
    with server(refuses(500)) as (url, script):
        prices = {"PRICE_IN": 1, "PRICE_OUT": 2, "BUDGET": 100}
        with analysed(servers.endpoints()["future"], tmp_path, configured(url, RETRY=3600, **prices)) as running:
            ids = inserted(running, ROWS, title="by hand {id} n=0")
            running.settle(60)
            assert outcomes(running, ids) == {"analysed": 0, "degraded": ROWS}
            in_mysql(running, "DELETE FROM jobs WHERE id < 100000")
            running.settle(60)
            told_before = told(running).records
            dry = reenriched(running, tmp_path, "--degraded", "--dry-run")
            assert (dry["asked"], dry["enricher"], dry["rows"], dry["known"]) == (False, "analysis", ROWS, 0)
            assert 100 * ROWS < dry["tokens"] < 2000 * ROWS
            assert dry["tokens"] * 1e-6 < dry["cost"] < dry["tokens"] * 2e-6
            assert told(running).records == told_before
            script.acts[0] = analyses()
            assert reenriched(running, tmp_path, "--degraded")["asked"]
            bettered(running, ids, lambda: reenriched(running, tmp_path, "--degraded"))  # it is left alone for a while
            again = reenriched(running, tmp_path, "--dry-run")
            assert (again["rows"], again["known"], again["tokens"], again["cost"]) == (ROWS, ROWS, 0, 0.0)
            before, calls = told(running).records, len(script.requests)
            assert reenriched(running, tmp_path)["asked"]
            running.settle(60)
            deadline = time.monotonic() + 60
            while told(running).records < before + ROWS and time.monotonic() < deadline:
                time.sleep(0.2)
            assert (told(running).records, len(script.requests)) == (before + ROWS, calls), "all again, from the cache"
