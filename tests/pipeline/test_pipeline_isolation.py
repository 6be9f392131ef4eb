"""Three versions on real servers: all twelve checks pass, and each of twelve sabotages is found."""

import json
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer, TopicPartition
from line import Line

from audit.isolation.canaries import Canaries
from audit.isolation.data import Searched
from audit.isolation.kafka import ends
from audit.isolation.report import CHECKS
from audit.isolation.trespass import belongings, trespass
from bench.isolated import COMPOSE, TOPICS, VERSIONS, Scene, scene
from bench.sabotages import Sabotage, sabotages
from streams.kafka import KafkaUrl, ensure_topics, read_topic
from streams.topics import topic_specs
from tailrace.cli import cli
from tailrace.example.database import connect, run_script
from tailrace.pipeline import Pipeline
from tailrace.places import home


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("versions"), print) as found:
        for version in VERSIONS:
            ensure_topics(KafkaUrl.parse(found.url(version, "kafka")), topic_specs(found.topology, version))
        yield found


def test_every_check_of_every_version_passes(stage: Scene) -> None:
    seen = stage.grounds()
    results = [result for check in CHECKS for result in stage.look(check, seen).values()]
    assert [(result.version, result.check, result.findings) for result in results if result.verdict != "pass"] == []
    assert len(results) == 12
    assert all(result.looked_at > 0 for result in results)


@pytest.mark.parametrize("one", sabotages(), ids=lambda one: f"{one.check}-{one.version}")
def test_a_sabotage_is_found_where_it_is(stage: Scene, one: Sabotage) -> None:
    with one.spoilt(stage) as seen:
        results = stage.look(one.check, seen, one.between(stage))
    assert {version for version, result in results.items() if result.verdict == "fail"} == one.fails
    assert [finding for finding in results[one.version].findings if one.told in finding.what]
    assert not [finding for result in results.values() for finding in result.findings if finding.verdict == "undecided"]


def test_what_cannot_be_seen_is_undecided_and_no_secret_is_told(stage: Scene, tmp_path: Path) -> None:
    away = {"DAO_REDIS_URL": "redis://:a-secret-word@127.0.0.1:1/3", "FUTURE_SQLITE_DIR": str(tmp_path / "nowhere")}
    found = _told(stage, tmp_path, 4, **away)
    assert found["verdict"] == "undecided"
    by_check = {(one["version"], one["check"]): one for one in found["results"]}
    assert by_check["dao", "database"]["verdict"] == by_check["dao", "network"]["verdict"] == "undecided"
    assert by_check["blockchain", "database"]["verdict"] == "pass"
    assert by_check["blockchain", "data"]["verdict"] == "undecided"  # its rows might be in dao's Redis
    assert by_check["future", "container"]["verdict"] == "undecided"
    assert set(by_check["dao", "data"]) == {"version", "check", "verdict", "findings", "looked_at"}
    assert set(by_check["dao", "data"]["findings"][0]) == {"verdict", "what", "where", "advice"}
    text = json.dumps(found)
    secrets = {stage.secret(version, kind) for version in VERSIONS for kind in ("mysql", "postgres", "redis", "kafka")}
    assert not [word for word in {*secrets, "a-secret-word"} if word in text]


def test_a_principal_that_may_is_told_so_and_does_no_harm(stage: Scene) -> None:
    url = stage.url("blockchain", "kafka")
    kafka = KafkaUrl.parse(url)
    with _group(kafka, "blockchain.somebody"):
        topics, groups = belongings(url, "blockchain")
        assert "blockchain.tailrace.positions" in topics
        assert "blockchain.somebody" in groups
        before = ends(url)
        met = {deed: answer.met for deed, answer in trespass(url, "blockchain", "blockchain", topics, groups)}
    assert met.pop("change the rules") == "refused"
    assert set(met.values()) == {"inside"}
    assert met.keys() >= {"read topics", "write to topics", "create topics", "describe the group `blockchain.somebody`"}
    assert {topic for topic, _ in ends(url)} == {topic for topic, _ in before}
    assert [message for topic in topics for message in read_topic(kafka, topic)] == []


@contextmanager
def _group(kafka: KafkaUrl, name: str) -> Iterator[None]:
    consumer = Consumer(kafka.config(group_id=name, auto_offset_reset="earliest"))
    topic = f"{kafka.user}.tailrace.positions"
    try:
        consumer.commit(offsets=[TopicPartition(topic, 0, 0)], asynchronous=False)
        yield
    finally:
        consumer.close()


def test_a_version_of_which_nothing_is_known_leaves_all_undecided(stage: Scene, tmp_path: Path) -> None:
    declared = TOPICS.replace("  dao:", "  fourth: {database: jobfirst_fourth}\n  dao:")
    found = _told(stage, tmp_path, 4, "--check", "container", declared=declared)
    by_version = {one["version"]: one for one in found["results"]}
    assert {one["verdict"] for one in found["results"]} == {"undecided"}
    assert "fourth" not in by_version, "nothing of it could be looked at"
    assert by_version["future"]["looked_at"] > 0
    assert [one["what"].split(",")[0] for one in by_version["future"]["findings"]] == ["`fourth` is declared"]


def test_versions_and_checks_can_be_chosen(stage: Scene, tmp_path: Path) -> None:
    found = _told(stage, tmp_path, 0, "-V", "dao", "--check", "container", "--check", "network")
    assert [(one["version"], one["check"]) for one in found["results"]] == [("dao", "network"), ("dao", "container")]


def test_a_row_goes_through_the_line_and_nowhere_else(stage: Scene, tmp_path: Path) -> None:
    with _line(stage, "future", tmp_path):
        seen = replace(stage, home=home()).grounds()
        assert {worker.name.partition(".")[0] for worker in seen.workers if worker.environ} >= {"deliver-redis"}
        assert stage.look("container", seen)["dao"].findings == []  # none of future's processes has anything of dao
        canaries = Canaries(stage.topology, stage.grounds().places, timeout=60, tell=print)
        try:
            canaries.plant()
            searched = canaries.search()
        finally:
            canaries.remove()
        token = canaries.tokens["future"]
        assert {
            where.partition("`")[0] + where.partition("`")[2].split(":")[0] for where in _where(searched, token)
        } >= {
            "table jobfirst_future.permissions`",
            "table jobfirst_future.financial_records`",
            "key permission",
            "table tailrace.permissions`",
            "table tailrace.financial_records`",
            "topic future.jobfirst_future.permissions`",
            "topic future.jobfirst_future.financial_records`",
        }
        assert any(where.startswith("file `") and "financial_records" in where for where in _where(searched, token))
        assert {version: canaries.judge(version, searched).findings for version in VERSIONS} == dict.fromkeys(
            VERSIONS, ()
        )
        again = canaries.search()
        assert {where.split(" ")[0] for where in _where(again, token)} == {"topic"}  # until it is compacted


def _where(searched: list[Searched], token: str) -> set[str]:
    return {hit.where for one in searched if one.found for hit in one.found.hits if hit.token == token}


@contextmanager
def _line(stage: Scene, version: str, folder: Path) -> Iterator[Line]:
    endpoints = stage.servers.endpoints()[version]
    with closing(connect(endpoints["mysql"])) as connection:
        run_script(connection, "schema.sql")
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO financial_records (user_id, transaction_type, amount, transaction_date)"
                " VALUES (7, 'income', 1, '2026-01-01')"
            )
        connection.commit()
    pipeline = Pipeline(
        stage.topology,
        {version: endpoints},
        topics=_topics(folder),
        roles=["capture", "deliver"],
        log_file=folder / "pipeline.log",
    )
    pipeline.start()
    try:
        line = Line(stage.topology, endpoints, pipeline, version)
        line.settle()
        yield line
    finally:
        pipeline.stop()


def _topics(folder: Path, declared: str = TOPICS) -> Path:
    path = folder / "topics.yaml"
    path.write_text(declared)
    return path


def _told(stage: Scene, folder: Path, code: int, *words: str, declared: str = TOPICS, **more: str) -> Any:
    """What the command prints, where it ends with that code."""
    compose = folder / "compose.yml"
    compose.write_text(COMPOSE)
    environ = {**os.environ, "TAILRACE_STACK": str(stage.servers.folder), "TAILRACE_HOME": str(stage.home), **more}
    arguments = ["isolate", "--json", "--topics", str(_topics(folder, declared)), "--compose", str(compose), *words]
    result = CliRunner().invoke(cli, arguments, env=environ)
    assert result.exit_code == code, (result.output, result.exception)
    return json.loads(result.stdout)
