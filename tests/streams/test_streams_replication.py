"""What a replica's variables say of its binlog."""

import pytest

from streams.replication import replica_problems

RIGHT = {
    "log_replica_updates": "ON",
    "log_slave_updates": "ON",
    "replica_parallel_workers": "4",
    "replica_preserve_commit_order": "ON",
}


def test_a_replica_that_keeps_the_order_and_logs_it_is_as_good_as_its_source() -> None:
    assert replica_problems(RIGHT, mariadb=False) == []
    assert replica_problems({"log_slave_updates": "ON", "slave_parallel_threads": "4"}, mariadb=True) == []


@pytest.mark.parametrize("prefix", ["replica", "slave"])
def test_several_workers_without_an_order_are_refused(prefix: str) -> None:
    """Both names: the older one is the only one before MySQL 8.0.26."""
    loose = {f"{prefix}_parallel_workers": "4", f"{prefix}_preserve_commit_order": "OFF"}
    (said,) = replica_problems(loose, mariadb=False)
    assert "SET PERSIST replica_preserve_commit_order = ON" in said
    for workers in ("0", "1"):
        assert replica_problems(loose | {f"{prefix}_parallel_workers": workers}, mariadb=False) == []
    assert replica_problems(loose, mariadb=True) == []


@pytest.mark.parametrize(("mariadb", "name"), [(False, "log_replica_updates"), (True, "log_slave_updates")])
def test_a_replica_that_logs_nothing_is_refused(mariadb: bool, name: str) -> None:
    (said,) = replica_problems(
        RIGHT | dict.fromkeys(("log_replica_updates", "log_slave_updates"), "OFF"), mariadb=mariadb
    )
    assert said.endswith(f"start it with --{name.replace('_', '-')}")
