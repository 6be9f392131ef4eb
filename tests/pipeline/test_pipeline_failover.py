"""A replica takes the place of its primary: capture goes on there, and the topics are one history all the same."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from capturing import CaptureProcess, captured, kill_inside, until
from line import prepared
from replicas import catch_up, gtids, promote, replicated, status
from sources import MYSQL_FIRST, SERVERS, Source
from topic_order import bulk_faults, followed, ledger_faults
from upheaval import BULK

from changes.gtid import MariadbGtids, MysqlGtids
from streams.binlog import events
from streams.binlog.connection import BinlogConnection
from streams.mysql import session
from tailrace.example.traffic import Traffic
from tailrace.stack.mariadb import MariaDB
from tailrace.stack.mysql import MySQL

pytestmark = pytest.mark.slow

RATE = 150.0
TRANSACTIONS = 500


@pytest.mark.parametrize("kind", MYSQL_FIRST)
def test_capture_goes_on_at_a_replica_that_was_promoted(kind: type[MySQL], tmp_path: Path) -> None:
    """Capture dies inside a large transaction, then the primary dies amid writes, then all go to the replica."""
    with (
        replicated(kind, tmp_path / "servers") as (primary, replica),
        captured(primary, tmp_path, bulk=60_000) as capture,
    ):
        before = write(capture, primary, seed=1)
        large = kill_inside(capture, primary)  # what it has read by now the replica will have
        traffic = Traffic(primary.endpoint, rate=RATE, seed=2, ledger=True)
        traffic.start()
        catch_up(replica, gtids(primary))
        time.sleep(1.0)
        primary.kill()
        traffic.stop()
        promote(replica)
        capture.mysql = replica.endpoint
        capture.start()
        middle = capture.settle(replica)
        after = write(capture, replica, seed=3)
        assert before < middle < after
        ledger = followed(capture.kafka, capture.topics["tr_ledger"])
        bulk = followed(capture.kafka, capture.topics[BULK])
        assert ledger.faults == []
        assert bulk.faults == []
        assert ledger_faults(ledger, replica) == []
        assert bulk_faults(bulk, replica) == []
        assert set(bulk.changes.values()) == {2 + large}
        assert "ERROR" not in capture.log()


def write(capture: CaptureProcess, one: Source, seed: int) -> str:
    """Some traffic, a large transaction, and the position behind it."""
    traffic = Traffic(one.endpoint, rate=RATE, seed=seed, ledger=True)
    traffic.start()
    time.sleep(2.0)
    one.run(f"UPDATE {BULK} SET n = n + 1")
    traffic.stop()
    return capture.settle(one)


@pytest.mark.parametrize("kind", MYSQL_FIRST)
def test_a_promoted_replica_that_lacks_what_capture_has_read_is_refused_with_the_command_that_mends(
    kind: type[MySQL], tmp_path: Path
) -> None:
    with (
        replicated(kind, tmp_path / "servers") as (primary, replica),
        captured(primary, tmp_path, bulk=100) as capture,
    ):
        catch_up(replica, gtids(primary))
        replica.run("STOP REPLICA")
        primary.run(f"UPDATE {BULK} SET n = n + 1")
        capture.settle(primary)
        capture.kill(signal.SIGTERM)
        primary.kill()
        replica.run("RESET REPLICA ALL")
        for _ in range(2):  # other transactions in the place of the lost one
            replica.run(f"UPDATE {BULK} SET n = n + 10")
        capture.mysql = replica.endpoint
        capture.start()
        until(lambda: "capture is stopped" in capture.log(), "capture refuses the replica")
        said = next(line for line in capture.log().splitlines() if "capture is stopped" in line)
        assert "ERROR" in said
        assert "`tailrace epoch raise`" in said
        assert followed(capture.kafka, capture.topics[BULK]).faults == []


@pytest.mark.parametrize("kind", MYSQL_FIRST)
def test_a_replica_that_still_executes_what_it_has_received_is_waited_for(kind: type[MySQL], tmp_path: Path) -> None:
    with (
        replicated(kind, tmp_path / "servers") as (primary, replica),
        captured(primary, tmp_path, bulk=100) as capture,
    ):
        if kind is MariaDB:
            # not into its own binlog: it would have a transaction there that its source has not
            replica.run("SET SESSION sql_log_bin = 0", "GRANT REPLICA MONITOR ON *.* TO 'tailrace'@'127.0.0.1'")
        catch_up(replica, gtids(primary))
        with locked(replica):
            primary.run(f"UPDATE {BULK} SET n = n + 1")
            capture.settle(primary)
            received = "gtid_io_pos" if kind is MariaDB else "retrieved_gtid_set"
            wanted = gtids(primary)
            until(lambda: has(str(status(replica)[received]), replica, wanted), "the replica has received it")
            capture.kill(signal.SIGTERM)
            primary.kill()
            capture.mysql = replica.endpoint
            capture.start()
            until(lambda: "is still executing it" in capture.log(), "capture waits")
            assert "ERROR" not in capture.log()
        catch_up(replica, wanted)
        replica.run("STOP REPLICA", "RESET REPLICA ALL", f"UPDATE {BULK} SET n = n + 1")
        capture.settle(replica)
        bulk = followed(capture.kafka, capture.topics[BULK])
        assert bulk.faults == []
        assert bulk_faults(bulk, replica) == []


@contextmanager
def locked(replica: Source) -> Iterator[None]:
    """A lock on the table of large transactions, which keeps the replica from executing any."""
    with session(replica.root) as connection, connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLES {BULK} READ")
        yield


def has(received: str, replica: Source, wanted: MysqlGtids | MariadbGtids) -> bool:
    if isinstance(wanted, MariadbGtids):
        return MariadbGtids(received).covers(wanted)
    return MysqlGtids(f"{gtids(replica)},{received}").covers(wanted)


def history(one: Source, start: MysqlGtids | MariadbGtids, transactions: int) -> list[tuple[str, int, int]]:
    """(name, ordinal, rows' bytes hashed) of what the server sends behind ``start``."""
    connection = BinlogConnection(one.url, start, server_id=0x7E570004)
    found: list[tuple[str, int, int]] = []
    known = start.copy()
    rows = 0
    try:
        for event in connection.events():
            head = events.header(event)
            if head.type in {events.GTID, events.MARIADB_GTID}:
                name = (
                    events.gtid(event)[0] if head.type == events.GTID else events.mariadb_gtid(event, head.server_id)[0]
                )
                known.add(name)
                rows = 0
            elif head.type in events.ROWS:
                rows = hash((rows, event[events.HEADER + 8 :]))
            elif head.type == events.XID:
                found.append((name, known.ordinal, rows))
                if len(found) == transactions:
                    return found
    finally:
        connection.close()
    raise AssertionError("the binlog ended")


@pytest.mark.parametrize("kind", SERVERS)
def test_a_transaction_has_the_same_ordinal_on_the_replica(kind: type[MySQL], tmp_path: Path) -> None:
    """The replica executes with several workers, and keeps the order of commits."""
    workers = "--slave-parallel-threads=4" if kind is MariaDB else "--replica-parallel-workers=4"
    with replicated(kind, tmp_path / "servers", [workers]) as (primary, replica):
        prepared({"mysql": primary.endpoint}, 50)
        start = gtids(primary)
        traffic = Traffic(primary.endpoint, rate=1000.0, seed=5, ledger=True, workers=8)
        traffic.start()
        until(lambda: gtids(primary).ordinal > start.ordinal + TRANSACTIONS + 10, "enough is written")
        traffic.stop()
        catch_up(replica, gtids(primary))
        there = history(primary, start, TRANSACTIONS)
        assert history(replica, start, TRANSACTIONS) == there
        assert [ordinal for _, ordinal, _ in there] == sorted({ordinal for _, ordinal, _ in there})
