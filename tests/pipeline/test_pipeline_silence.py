"""Capture is never silently idle: what keeps it from its binlog is noticed, said, and healed where it can be."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from capturing import CaptureProcess, captured, until
from click.testing import CliRunner
from proxy import Proxy
from sources import MYSQL_FIRST, Source, cached, source
from topic_order import bulk_faults, followed, ledger_faults
from upheaval import BULK

from streams.binlog.connection import SILENCE_SECONDS
from tailrace.cli import cli
from tailrace.example.traffic import Traffic
from tailrace.stack.mariadb import MariaDB
from tailrace.stack.mysql import MySQL

pytestmark = pytest.mark.slow

RATE = 200.0
LOOKED_FOR = "a text that is looked for on the disk"


def assert_told(capture: CaptureProcess, one: Source) -> None:
    """All that is committed is in Kafka, once and in order, and nobody was called."""
    capture.settle(one)
    ledger, bulk = followed(capture.kafka, capture.topics["tr_ledger"]), followed(capture.kafka, capture.topics[BULK])
    assert ledger.faults == []
    assert bulk.faults == []
    assert ledger_faults(ledger, one) == []
    assert bulk_faults(bulk, one) == []
    assert "ERROR" not in capture.log()


@pytest.mark.parametrize("kind", MYSQL_FIRST)
def test_connections_that_fall_silent_are_noticed_and_replaced(kind: type[MySQL], tmp_path: Path) -> None:
    with source(kind, tmp_path / "servers") as one, Proxy(one.server.port) as proxy:
        through = one.endpoint.replace(f":{one.server.port}/", f":{proxy.port}/")
        with captured(one, tmp_path, bulk=100, mysql=through) as capture:
            assert proxy.fall_silent() >= 1
            one.run(f"UPDATE {BULK} SET n = n + 1")
            assert_told(capture, one)
            assert f"the server sent nothing for {SILENCE_SECONDS} s, not even a heartbeat" in capture.log()


@pytest.mark.parametrize("kind", MYSQL_FIRST)
def test_a_server_that_is_killed_and_comes_back_is_read_on(kind: type[MySQL], tmp_path: Path) -> None:
    with source(kind, tmp_path / "servers") as one, captured(one, tmp_path, bulk=1000) as capture:
        traffic = Traffic(one.endpoint, rate=RATE, seed=1, ledger=True)
        traffic.start()
        for end in (one.kill, one.stop):
            time.sleep(2.0)
            end()
            one.start()
            one.run(f"UPDATE {BULK} SET n = n + 1")
        traffic.stop()
        assert_told(capture, one)
        assert "capture waits" in capture.log()


def test_binlogs_may_be_rotated_all_the_time(tmp_path: Path) -> None:
    with source(MySQL, tmp_path / "servers") as one, captured(one, tmp_path, bulk=1000) as capture:
        traffic = Traffic(one.endpoint, rate=RATE, seed=2, ledger=True)
        traffic.start()
        for _ in range(100):
            one.run("FLUSH BINARY LOGS")
        one.run(f"UPDATE {BULK} SET n = n + 1", "FLUSH BINARY LOGS")
        traffic.stop()
        assert_told(capture, one)


@pytest.mark.parametrize("kind", MYSQL_FIRST)
def test_a_binlog_that_was_purged_stops_capture_until_the_command_that_it_names(
    kind: type[MySQL], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with source(kind, tmp_path / "servers") as one, captured(one, tmp_path, bulk=100) as capture:
        capture.kill()
        one.run(f"UPDATE {BULK} SET n = n + 1", "FLUSH BINARY LOGS", f"DELETE FROM {BULK} WHERE id = 7")
        one.run("FLUSH BINARY LOGS")
        (*_, last) = one.run("SHOW BINARY LOGS")
        one.run(f"PURGE BINARY LOGS TO '{last[0]}'")
        capture.start()
        until(lambda: "capture is stopped" in capture.log(), "capture says what it lacks")
        said = next(line for line in capture.log().splitlines() if "capture is stopped" in line)
        assert "ERROR" in said
        assert "the server no longer has the binlog that capture needs next" in said
        assert "`tailrace epoch raise`" in said
        for name, value in capture.environment().items():
            monkeypatch.setenv(name, value)
        done = CliRunner().invoke(cli, ["epoch", "raise", "--yes", "--topics", str(tmp_path / "topics.yaml")])
        assert done.exit_code == 0, done.output
        one.run(f"UPDATE {BULK} SET n = n + 1")
        position = capture.settle(one)
        assert int(position) >> 58 == 1
        rows = {int(key): int(n) for key, n in one.run(f"SELECT id, n FROM {BULK}")}
        found = followed(capture.kafka, capture.topics[BULK])
        assert {key: found.n[key] for key in rows} == rows


@pytest.fixture(params=MYSQL_FIRST)
def encrypted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    """A server whose binlog is encrypted on its disk."""
    if request.param is MariaDB:
        keys = tmp_path / "keys"
        keys.write_text("1;" + "ab" * 32 + "\n")
        options = [
            "--plugin-load-add=file_key_management",
            f"--file-key-management-filename={keys}",
            "--encrypt-binlog",
        ]
        with source(MariaDB, tmp_path / "servers", options=options) as one:
            yield one
    else:
        yield from with_keyring(tmp_path)


def with_keyring(folder: Path) -> Iterator[Source]:
    """MySQL looks for what names its keyring beside its program: so it gets a copy of that place."""
    there = cached("mysql-sid")
    component = there / "usr/lib/mysql/plugin/component_keyring_file.so"
    if not component.exists():
        pytest.skip("this MySQL has no file keyring")
    copy = folder / "cache" / "mysql-sid"
    shutil.copytree(there, copy, symlinks=True, copy_function=_linked)
    (copy / "usr/sbin/mysqld.my").write_text('{"components": "file://component_keyring_file"}')
    keys = folder / "keys"
    (copy / "usr/lib/mysql/plugin/component_keyring_file.cnf").write_text(f'{{"path": "{keys}", "read_only": false}}')
    with source(MySQL, folder / "servers", options=["--binlog-encryption=ON"], cache=folder / "cache") as one:
        yield one


def _linked(one: str, other: str) -> None:
    try:
        os.link(one, other)
    except OSError:  # on another file system
        shutil.copy2(one, other)


def test_an_encrypted_binlog_is_read_like_any_other(encrypted: Source, tmp_path: Path) -> None:
    with captured(encrypted, tmp_path, bulk=1000) as capture:
        encrypted.run(f"UPDATE {BULK} SET n = n + 1", f"UPDATE {BULK} SET n = n + 1, filler = '{LOOKED_FOR}'")
        encrypted.run("FLUSH BINARY LOGS", f"UPDATE {BULK} SET n = n + 1 WHERE id < 10")
        capture.settle(encrypted)
        bulk = followed(capture.kafka, capture.topics[BULK])
        assert {n for key, n in bulk.n.items() if key < 10} == {4}
        logs = sorted(encrypted.server.data.glob("bin.0*"))
        assert logs
        assert not any(LOOKED_FOR.encode() in log.read_bytes() for log in logs)
