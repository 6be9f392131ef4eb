"""Which of the declared stores are served where a command runs."""

import os
from pathlib import Path

import pytest

from changes.errors import Misconfigured
from changes.topology import Topology
from tailrace.declared import read_topology
from tailrace.endpoints import endpoints_of, environment, served
from tailrace.stack.places import stack_folder
from tailrace.stack.process import identify
from tailrace.stack.state import State, save

TOPICS = """\
versions:
  future: {database: jobfirst_future}
tables:
  - table: jobs
    key: [id]
    sinks:
      - {sink: postgres, tier: realtime}
      - {sink: redis, tier: realtime, place: "job:{id}"}
  - table: notes
    key: [id]
    sinks:
      - {sink: redis, tier: realtime, place: "note:{id}"}
"""
URLS = {"FUTURE_MYSQL_URL": "mysql://…", "FUTURE_KAFKA_URL": "kafka://…", "FUTURE_POSTGRES_URL": "postgresql://…"}


@pytest.fixture
def topics(tmp_path: Path) -> Path:
    path = tmp_path / "topics.yaml"
    path.write_text(TOPICS)
    return path


def places(topology: Topology) -> list[tuple[str, str]]:
    return [(target.sink, target.place) for target in topology.every_target("future")]


def homeless(tmp_path: Path) -> dict[str, str]:
    """An environment in which no stack runs."""
    return {"TAILRACE_HOME": str(tmp_path / "home")}


def test_without_a_stack_all_are_served_and_a_missing_variable_is_told(topics: Path, tmp_path: Path) -> None:
    environ = homeless(tmp_path) | URLS
    topology = read_topology(topics, environ)
    assert topology.sinks == ("postgres", "redis")
    with pytest.raises(Misconfigured, match="FUTURE_REDIS_URL"):
        endpoints_of(topology, "future", environ)


def test_only_what_is_named_is_served_and_asked_for(topics: Path, tmp_path: Path) -> None:
    environ = homeless(tmp_path) | URLS | {"TAILRACE_STORES": " postgres, "}
    topology = read_topology(topics, environ)
    assert places(topology) == [("postgres", "jobs")]
    assert set(endpoints_of(topology, "future", environ)) == {"mysql", "kafka", "postgres"}
    assert set(topology.tables) == {"jobs", "notes"}


def test_a_store_that_is_not_declared_cannot_be_named(topics: Path, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="`mongo`"):
        read_topology(topics, homeless(tmp_path) | {"TAILRACE_STORES": "redis,mongo"})


def test_what_the_running_stack_has_not_is_left_out(topics: Path, tmp_path: Path) -> None:
    environ = homeless(tmp_path)
    folder = stack_folder("default", environ)
    folder.mkdir(parents=True)
    local = {"future": {"mysql": "mysql://…", "kafka": "kafka://…", "redis": "redis://…"}}
    save(folder, State(versions=("future",), endpoints=local, supervisor=identify(os.getpid())))
    assert places(read_topology(topics, environ)) == [("redis", "job:{id}"), ("redis", "note:{id}")]
    given = environ | {"FUTURE_POSTGRES_URL": "postgresql://…"}
    assert read_topology(topics, given).sinks == ("postgres", "redis")


def test_the_processes_of_a_version_serve_the_same_stores(topics: Path, tmp_path: Path) -> None:
    topology = read_topology(topics, homeless(tmp_path)).without(["redis"])
    environ = environment(topology, "future", {"postgres": "postgresql://…"})
    assert served(read_topology(topics, homeless(tmp_path)), environ) == topology
