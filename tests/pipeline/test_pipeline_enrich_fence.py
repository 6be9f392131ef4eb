"""No store holds what was made of an older row, a replay asks no model, and what dies is taken over."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient
from enriched import (
    analysed,
    configured,
    in_mysql,
    in_postgres,
    inserted,
    postgres_results,
    redis_results,
    told,
    wrong,
)
from enrichers_server import Script, analyses, server
from line import Line

from streams.watch import enrichment_of, lanes_of
from tailrace.pipeline import Pipeline
from tailrace.stack import Stack


@pytest.fixture
def endpoint() -> Iterator[tuple[str, Script]]:
    with server(analyses()) as (url, script):
        yield url, script


def counted(title: str) -> int:
    """The ``n`` of a title."""
    return int(title.rpartition("n=")[2])


class Sampler:
    """Reads both stores again and again while rows change; ``back`` is what went backwards."""

    def __init__(self, running: Line, ids: list[int]) -> None:
        self._running, self._ids = running, ids
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.samples = 0
        self.back: list[str] = []

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        seen: dict[tuple[str, int], tuple[int, int]] = {}
        while not self._stop.is_set():
            for store, results in (
                ("postgres", postgres_results(self._running)),
                ("redis", redis_results(self._running, self._ids)),
            ):
                for number, result in results.items():
                    now = result.position, counted(result.title)
                    before = seen.get((store, number), (0, 0))
                    if now[0] < before[0] or now[1] < before[1]:
                        self.back.append(f"{store}: {number} went from {before} to {now}")
                    seen[store, number] = now
                    self.samples += 1
            time.sleep(0.05)


def updated(running: Line, ids: list[int], rounds: int, pause: float, rng: Random) -> None:
    """Each row ``rounds`` times, in random order, a few at once."""
    order = [(number, n) for n in range(1, rounds + 1) for number in rng.sample(ids, len(ids))]
    for at in range(0, len(order), 10):
        in_mysql(
            running,
            "UPDATE jobs SET title = %s WHERE id = %s",
            many=[(f"job {number} n={n}", number) for number, n in order[at : at + 10]],
        )
        time.sleep(pause)


def fenced(servers: Stack, folder: Path, rows: int) -> None:
    with (
        server(analyses(0.3)) as (url, script),
        analysed(servers.endpoints()["future"], folder, configured(url)) as running,
    ):
        ids = inserted(running, rows)
        called = len(script.requests)
        began = time.monotonic()
        with Sampler(running, ids) as sampler:
            updated(running, ids, rounds=3, pause=0.15, rng=Random(3))
            script.acts[0] = analyses(0.02)
            running.settle(240)
        results = postgres_results(running)
        report = {
            "rows": rows,
            "updates": 3 * rows,
            "calls": len(script.requests) - called,
            "samples": sampler.samples,
            "backwards": len(sampler.back),
            "stale": len(wrong(running, ids)),
            "seconds": round(time.monotonic() - began, 1),
        }
        print(json.dumps(report))
        assert sampler.back == []
        assert wrong(running, ids) == []
        assert {counted(results[number].title) for number in ids} == {3}
        assert {results[number].degraded for number in ids} == {0}


def test_no_store_ever_holds_a_result_of_an_older_row(servers: Stack, tmp_path: Path) -> None:
    fenced(servers, tmp_path, 60)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_no_store_ever_holds_a_result_of_an_older_row_among_a_thousand(servers: Stack, tmp_path: Path) -> None:
    fenced(servers, tmp_path, 1000)


def test_a_model_is_asked_only_where_what_it_reads_changed(
    servers: Stack, tmp_path: Path, endpoint: tuple[str, Script]
) -> None:
    url, script = endpoint
    with analysed(servers.endpoints()["future"], tmp_path, configured(url)) as running:
        ids = inserted(running, 10)
        running.settle()
        assert wrong(running, ids) == []
        calls, records = len(script.requests), told(running).records
        in_mysql(running, f"UPDATE jobs SET salary_min = 4711 WHERE id = {ids[0]}")
        running.settle()
        assert (len(script.requests), told(running).records) == (calls, records), "nobody reads that column"
        in_mysql(running, f"UPDATE jobs SET location = 'elsewhere' WHERE id = {ids[0]}")
        running.settle()
        assert (len(script.requests), told(running).records) == (calls, records + 1), "a carried column"
        (row,) = in_postgres(running, f"SELECT location FROM job_ai_analysis WHERE id = {ids[0]}")
        assert row["location"] == "elsewhere"
        in_mysql(running, f"UPDATE jobs SET title = 'job n=1' WHERE id = {ids[0]}")
        running.settle()
        assert (len(script.requests), told(running).records) == (calls + 1, records + 2)
        in_mysql(running, f"UPDATE jobs SET title = 'job {ids[0]} n=0' WHERE id = {ids[0]}")
        running.settle()
        assert (len(script.requests), told(running).records) == (calls + 1, records + 3), "known from before"
        assert wrong(running, ids) == []


def stopped(servers: Stack, folder: Path, url: str, between: Callable[[Line], None]) -> Line:
    """A pipeline that ran, with ``between`` done in it; what it ran on."""
    with analysed(servers.endpoints()["future"], folder, configured(url)) as running:
        between(running)
    return running


def forget_groups(running: Line, groups: list[str]) -> None:
    """The consumer groups begin again from the beginning of their topics."""
    admin = AdminClient(running.kafka.config())
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = admin.describe_consumer_groups(groups)
        if all(
            future.result().state in (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD) for future in found.values()
        ):
            break
        time.sleep(0.5)
    for future in admin.delete_consumer_groups(groups).values():
        future.result()


def emptied(running: Line) -> None:
    """The stores' rows and results, with their tombstones and positions; the caches stay."""
    import redis  # noqa: PLC0415

    tables = in_postgres(
        running,
        "SELECT schemaname || '.' || tablename AS name FROM pg_tables WHERE schemaname IN ('public', 'tailrace')"
        " AND tablename NOT LIKE 'enrich\\_%'",
    )
    in_postgres(running, "TRUNCATE " + ", ".join(row["name"] for row in tables))
    with redis.Redis.from_url(running.endpoints["redis"]) as client:
        keys = [key for key in client.scan_iter("*", 1000) if not key.startswith(b"_tailrace:")]
        assert keys
        client.delete(*keys)


def for_a_moment(running: Line, id_: int) -> None:
    """Other values and the old ones again, so close together that hardly any model is asked about the others."""
    ((title,),) = in_postgres(running, f"SELECT title FROM jobs WHERE id = {id_}")
    in_mysql(running, "UPDATE jobs SET title = %s WHERE id = %s", many=[("For a moment", id_), (title, id_)])


@pytest.mark.slow
def test_a_replay_into_empty_stores_is_equal_and_asks_no_model(
    servers: Stack, tmp_path: Path, endpoint: tuple[str, Script]
) -> None:
    url, script = endpoint
    ids: list[int] = []

    def lived(running: Line) -> None:
        ids.extend(inserted(running, 30))
        updated(running, ids, rounds=3, pause=0.1, rng=Random(5))
        in_mysql(running, f"DELETE FROM jobs WHERE id = {ids[-1]}")
        in_mysql(running, f"UPDATE jobs SET location = 'Y' WHERE id = {ids[0]}")
        running.settle()
        for_a_moment(running, ids[1])
        running.settle()
        assert wrong(running, ids) == []

    before = stopped(servers, tmp_path, url, lived)
    results, in_redis, calls = postgres_results(before), redis_results(before, ids), len(script.requests)
    assert len(results) == 29
    emptied(before)
    forget_groups(before, [lane.group for lane in lanes_of(before.topology, "future")])
    after = stopped(servers, tmp_path, url, Line.settle)
    assert (postgres_results(after), redis_results(after, ids)) == (results, in_redis)
    assert len(script.requests) == calls, "a replay of the topics asks no model"

    records = told(after).records
    enrichment = enrichment_of(after.topology, "future")
    assert enrichment is not None
    forget_groups(after, [enrichment.group])
    after = stopped(servers, tmp_path, url, Line.settle)
    assert (postgres_results(after), redis_results(after, ids)) == (results, in_redis)
    assert (len(script.requests), told(after).records) == (calls, records), "enrichment knows what it said"

    in_postgres(after, "TRUNCATE tailrace.enrich_said")
    forget_groups(after, [enrichment.group])
    after = stopped(servers, tmp_path, url, Line.settle)
    assert (postgres_results(after), redis_results(after, ids)) == (results, in_redis)
    assert (len(script.requests), told(after).records) == (calls, records), "or reads it off its topic"


class Second:
    """Another enrichment beside a pipeline's, which calls its endpoint ``second``."""

    def __init__(self, running: Line, folder: Path) -> None:
        os.environ["FUTURE_LLM_NAME"] = "second"
        self.pipeline = Pipeline(
            running.topology,
            {"future": running.endpoints},
            topics=folder / "topics.yaml",
            roles=("enrich",),
            log_file=folder / "second.log",
        )

    def __enter__(self) -> int:
        self.pipeline.start()
        return self.pipeline.pids()["future.enrich"]

    def __exit__(self, *_: object) -> None:
        self.pipeline.stop()


def shares(running: Line, since: float) -> dict[str, set[int]]:
    """Which partitions each worker told results of."""
    found: dict[str, set[int]] = {}
    for partition, at, provider in told(running).at:
        if at >= since:
            found.setdefault(provider, set()).add(partition)
    return found


def shared(running: Line, ids: list[int], n: int) -> tuple[int, dict[str, set[int]]]:
    """Update all rows until each of both workers tells its own; the last ``n``, and who told what."""
    running.settle()
    for _ in range(60):
        since, n = time.time(), n + 1
        updated_to(running, ids, n)
        running.settle()
        found = shares(running, since)
        if found.keys() == {"first", "second"} and found["first"].isdisjoint(found["second"]):
            return n, found
    raise AssertionError("the second worker never got a share")


def updated_to(running: Line, ids: list[int], n: int) -> None:
    rows = [(f"job {number} n={n}", number) for number in ids]
    in_mysql(running, "UPDATE jobs SET title = %s WHERE id = %s", many=rows)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_workers_share_and_one_takes_over_from_the_other(servers: Stack, tmp_path: Path) -> None:
    with (
        server(analyses(0.05)) as (url, _),
        analysed(servers.endpoints()["future"], tmp_path, configured(url, NAME="first")) as running,
        Second(running, tmp_path) as second,
    ):
        ids = inserted(running, 80)
        n, before = shared(running, ids, 1000)  # values that no other test has had made
        assert min(map(len, before.values())) >= 2
        assert set().union(*before.values()) == set(range(8))
        with Sampler(running, ids) as sampler:
            updated_to(running, ids, n + 1)
            killed = time.time()
            os.kill(second, signal.SIGKILL)
            for more in range(2, 5):
                updated_to(running, ids, n + more)
                time.sleep(0.3)
            running.settle()
        over = [at for partition, at, _ in told(running).at if partition in before["second"] and at > killed + 0.5]
        taken = {provider: len(partitions) for provider, partitions in before.items()}
        print(json.dumps({"partitions": taken, "taken_over_s": round(min(over) - killed, 1)}))
        assert sampler.back == []
        assert wrong(running, ids) == []
        assert {counted(one.title) for one in postgres_results(running).values()} == {n + 4}


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_worker_that_was_thought_dead_takes_nothing_back(servers: Stack, tmp_path: Path) -> None:
    with (
        server(analyses(1.0)) as (url, script),
        analysed(servers.endpoints()["future"], tmp_path, configured(url, NAME="first")) as running,
        Second(running, tmp_path) as second,
    ):
        ids = inserted(running, 80)
        script.acts[0] = analyses(0.02)
        n, before = shared(running, ids, 2000)
        with Sampler(running, ids) as sampler:
            script.acts[0] = analyses(1.0)
            updated_to(running, ids, n + 1)
            time.sleep(1.5)
            os.kill(second, signal.SIGSTOP)  # with answers on their way to it
            try:
                script.acts[0] = analyses(0.02)
                updated_to(running, ids, n + 2)
                running.settle()
            finally:
                os.kill(second, signal.SIGCONT)
            time.sleep(3)
            running.settle()
        assert before["second"]
        assert sampler.back == []
        assert wrong(running, ids) == []
        last, results = told(running).last, postgres_results(running)
        assert last == {number: results[number].input for number in ids}, "the topic ends with what is right, too"
        updated_to(running, ids, n + 1)  # as it was while it slept
        running.settle()
        assert wrong(running, ids) == []
