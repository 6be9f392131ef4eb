"""Every reason why a source is refused, on a real server: it is refused while it is so, with the statement that mends
it, and not once that has run."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from replicas import catch_up, gtids, replicated
from sources import SERVERS, Source, source

from changes.errors import Misconfigured
from changes.topology import Topology
from streams.mysql import MysqlUrl
from streams.preflight import preflight
from tailrace.declared import read_topology
from tailrace.stack.mariadb import MariaDB
from tailrace.stack.mysql import MySQL

TOPICS = """
versions:
  future: {database: jobfirst_future}
tables:
  - table: t
    key: [id]
    sinks: [{sink: postgres, tier: realtime}]
"""
BOTH = [
    ("binlog_format", "'STATEMENT'", "SET PERSIST binlog_format = 'ROW'"),
    ("binlog_row_image", "'MINIMAL'", "SET PERSIST binlog_row_image = 'FULL'"),
    ("binlog_row_metadata", "'MINIMAL'", "SET PERSIST binlog_row_metadata = 'FULL'"),
    ("binlog_expire_logs_seconds", "3600", "SET PERSIST binlog_expire_logs_seconds = 604800"),
]
OF_MYSQL = [
    ("binlog_order_commits", "OFF", "SET PERSIST binlog_order_commits = ON"),
    ("server_id", "0", "SET PERSIST server_id = 1"),
]
OF_MARIADB = [
    ("gtid_strict_mode", "OFF", "SET GLOBAL gtid_strict_mode = ON"),
    ("log_bin_compress", "ON", "SET GLOBAL log_bin_compress = OFF"),
]


@pytest.fixture(scope="module", params=SERVERS)
def one(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    with source(request.param, tmp_path_factory.mktemp("preflight")) as server:
        server.run("CREATE TABLE t (id INT PRIMARY KEY)")
        yield server


@pytest.fixture
def topology(tmp_path: Path) -> Topology:
    (tmp_path / "topics.yaml").write_text(TOPICS)
    return read_topology(tmp_path / "topics.yaml")


def refusal(url: MysqlUrl, topology: Topology) -> list[str]:
    """The reasons, none where the source is taken."""
    try:
        preflight(url, topology, "future")
    except Misconfigured as error:
        return str(error).splitlines()
    return []


def settings_of(one: Source) -> list[tuple[str, str, str]]:
    if isinstance(one.server, MariaDB):
        return [(name, value, mend.replace("PERSIST", "GLOBAL")) for name, value, mend in BOTH] + OF_MARIADB
    return BOTH + OF_MYSQL


def test_a_server_as_the_stack_sets_it_up_is_taken(one: Source, topology: Topology) -> None:
    assert refusal(one.url, topology) == []


def test_each_setting_that_would_lose_changes_is_refused_until_its_statement_has_run(
    one: Source, topology: Topology
) -> None:
    for name, value, mend in settings_of(one):
        one.run(f"SET GLOBAL {name} = {value}")
        (said,) = refusal(one.url, topology)
        assert said.startswith(f"`{name}` is "), said
        assert said.endswith(f": {mend}"), said
        one.run(mend)
        assert refusal(one.url, topology) == [], name


def test_gtids_that_are_not_sure_are_refused(one: Source, topology: Topology) -> None:
    if isinstance(one.server, MariaDB):
        pytest.skip("MariaDB always writes GTIDs")
    one.run("SET GLOBAL gtid_mode = ON_PERMISSIVE")
    (said,) = refusal(one.url, topology)
    assert said.startswith(
        "`gtid_mode` is `ON_PERMISSIVE`, capture needs `ON`: SET PERSIST enforce_gtid_consistency = ON"
    )
    one.run("SET GLOBAL gtid_mode = ON")
    assert refusal(one.url, topology) == []


@pytest.mark.parametrize("privilege", ["REPLICATION SLAVE", "REPLICATION CLIENT"])
def test_each_grant_that_is_missing_is_named_with_its_statement(
    one: Source, topology: Topology, privilege: str
) -> None:
    other = {"REPLICATION SLAVE": "REPLICATION CLIENT", "REPLICATION CLIENT": "REPLICATION SLAVE"}[privilege]
    one.run(
        "DROP USER IF EXISTS 'poor'@'127.0.0.1'",
        "CREATE USER 'poor'@'127.0.0.1' IDENTIFIED BY 'poor'",
        "GRANT SELECT ON jobfirst_future.* TO 'poor'@'127.0.0.1'",
        f"GRANT {other} ON *.* TO 'poor'@'127.0.0.1'",
    )
    url = replace(one.url, user="poor", password="poor")
    mend = f"GRANT {privilege} ON *.* TO `poor`@`127.0.0.1`"
    assert refusal(url, topology) == [f"user `poor@127.0.0.1` lacks {privilege}: {mend}"]
    one.run(mend)
    assert refusal(url, topology) == []


@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_that_keeps_no_binlog_is_refused(kind: type[MySQL], topology: Topology, tmp_path: Path) -> None:
    with source(kind, tmp_path / "servers", options=["--skip-log-bin"]) as one:
        one.run("CREATE TABLE t (id INT PRIMARY KEY)")
        assert "`log_bin` is `OFF`, capture needs `ON`: start the server with --log-bin" in refusal(one.url, topology)


@pytest.mark.parametrize("option", ["--binlog-ignore-db=jobfirst_future", "--binlog-do-db=another"])
@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_that_leaves_the_database_out_of_its_binlog_is_refused(
    kind: type[MySQL], option: str, topology: Topology, tmp_path: Path
) -> None:
    with source(kind, tmp_path / "servers", options=[option]) as one:
        one.run("CREATE TABLE t (id INT PRIMARY KEY)")
        (said,) = refusal(one.url, topology)
        assert said.startswith("the server logs no change of `jobfirst_future`: start it without --binlog-")


@pytest.mark.slow
def test_a_replica_whose_binlog_has_another_order_is_refused(topology: Topology, tmp_path: Path) -> None:
    options = ["--replica-parallel-workers=4", "--replica-preserve-commit-order=OFF"]
    with replicated(MySQL, tmp_path / "servers", options) as (primary, replica):
        primary.run("CREATE TABLE t (id INT PRIMARY KEY)")
        catch_up(replica, gtids(primary))
        (said,) = refusal(replica.url, topology)
        mend = said.partition("than its source's: ")[2]
        assert "`replica_preserve_commit_order` is `OFF`" in said
        replica.run(*mend.split("; "))
        assert refusal(replica.url, topology) == []
        assert refusal(primary.url, topology) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", SERVERS)
def test_a_replica_that_does_not_log_what_it_replicates_is_refused(
    kind: type[MySQL], topology: Topology, tmp_path: Path
) -> None:
    name = "log_slave_updates" if kind is MariaDB else "log_replica_updates"
    with replicated(kind, tmp_path / "servers", [f"--{name.replace('_', '-')}=OFF"]) as (primary, replica):
        primary.run("CREATE TABLE t (id INT PRIMARY KEY)")
        said = refusal(replica.root, topology)
        wanted = f"`{name}` is `OFF`, so its binlog lacks what it replicates: start it with --{name.replace('_', '-')}"
        assert any(wanted in reason for reason in said), said
