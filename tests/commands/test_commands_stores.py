"""Which of the declared stores are served where a command runs."""

import os
from pathlib import Path

import pytest

from changes.errors import Misconfigured
from changes.topology import Topology
from tailrace.commands.common import one_version, versions_here
from tailrace.declared import read_topology
from tailrace.endpoints import configured, endpoints_of, environment, served
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


THREE = TOPICS.replace(
    "{database: jobfirst_future}",
    "{database: jobfirst_future}\n  dao: {database: jobfirst_dao}\n  chain: {database: jobfirst_chain, env: BLOCK_}",
)


@pytest.fixture
def three(topics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Topology:
    topics.write_text(THREE)
    monkeypatch.setenv("TAILRACE_HOME", str(tmp_path / "home"))
    for name in [name for name in os.environ if name.startswith(("FUTURE_", "DAO_", "BLOCK_", "TAILRACE_ST"))]:
        monkeypatch.delenv(name)
    return read_topology(topics)


def test_versions_without_any_server_are_left_out_where_all_are_meant(
    three: Topology, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, url in URLS.items():
        monkeypatch.setenv(name, url)
    assert versions_here(three, ()) == ["future"]
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "not configured here, and left out: dao, chain\n")
    monkeypatch.setenv("BLOCK_MYSQL_URL", "mysql://…")
    assert versions_here(three, ()) == ["future", "chain"]


def test_a_version_that_is_named_and_has_no_server_is_refused(three: Topology, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUTURE_MYSQL_URL", "mysql://…")
    assert versions_here(three, ("dao", "dao")) == ["dao"]
    with pytest.raises(Misconfigured, match=r"`dao` is not configured here: set DAO_MYSQL_URL, .*up --version dao`"):
        endpoints_of(three, "dao")
    with pytest.raises(Misconfigured, match="`labs` is not declared"):
        versions_here(three, ("labs",))


def test_the_version_that_is_meant_is_the_first_that_is_configured(
    three: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (one_version(three, None), versions_here(three, ())) == ("future", ["future"])
    monkeypatch.setenv("DAO_MYSQL_URL", "mysql://…")
    assert (one_version(three, None), one_version(three, "chain")) == ("dao", "chain")


def test_a_stack_that_runs_here_configures_its_versions(three: Topology, tmp_path: Path) -> None:
    folder = stack_folder("default", os.environ)
    folder.mkdir(parents=True)
    local = {"chain": {"mysql": "mysql://…"}, "dao": {}}
    save(folder, State(versions=("chain",), endpoints=local, supervisor=identify(os.getpid())))
    assert configured(three) == ("chain",)


def test_a_process_is_given_no_other_version_s_variables(three: Topology, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FUTURE_DAO_URL", "DAO_DAO_URL", "DAO_LLM_KEY", "BLOCK_MYSQL_URL"):
        monkeypatch.setenv(name, "secret")
    found = environment(three, "future", {})
    assert [name for name in found if found[name] == "secret"] == ["FUTURE_DAO_URL"]
    assert "DAO_LLM_KEY" in environment(three, "dao", {})
