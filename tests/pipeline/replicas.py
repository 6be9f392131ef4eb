"""A primary and its replica, by GTIDs, as a test starts them."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sources import Source, source

from changes.gtid import MariadbGtids, MysqlGtids
from streams.capture.snapshot import executed
from streams.mysql import session
from tailrace.stack.mariadb import MariaDB
from tailrace.stack.mysql import MySQL

CAUGHT_UP_SECONDS = 60.0


def gtids(one: Source) -> MysqlGtids | MariadbGtids:
    """What a server has executed and logged."""
    with session(one.root) as connection:
        return executed(connection, mariadb=isinstance(one.server, MariaDB))


@contextmanager
def replicated(kind: type[MySQL], folder: Path, options: Sequence[str] = ()) -> Iterator[tuple[Source, Source]]:
    """A primary, and a replica that follows it; ``options`` are the replica's."""
    logs = ("--log-slave-updates=ON",) if kind is MariaDB else ()
    with (
        source(kind, folder, "future.primary") as primary,
        source(kind, folder, "future.replica", (*logs, *options)) as replica,
    ):
        password = primary.url.password
        to = f"'127.0.0.1', {{0}}_PORT={primary.url.port}, {{0}}_USER='tailrace', {{0}}_PASSWORD='{password}'"
        if kind is MariaDB:
            replica.run(f"CHANGE MASTER TO MASTER_HOST={to.format('MASTER')}, MASTER_USE_GTID=slave_pos")
        else:
            more = "SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1, SOURCE_CONNECT_RETRY=1"
            replica.run(f"CHANGE REPLICATION SOURCE TO SOURCE_HOST={to.format('SOURCE')}, {more}")
        replica.run("START REPLICA")
        yield primary, replica


def catch_up(replica: Source, wanted: MysqlGtids | MariadbGtids) -> None:
    """Wait until the replica has executed all of ``wanted``."""
    deadline = time.monotonic() + CAUGHT_UP_SECONDS
    while not gtids(replica).covers(wanted):  # type: ignore[arg-type]
        assert time.monotonic() < deadline, f"{gtids(replica)} of {wanted}; {replica.run('SHOW REPLICA STATUS')}"
        time.sleep(0.05)


def promote(replica: Source) -> None:
    """Make it a primary: what it has received is executed, and it follows nobody any more."""
    mariadb = isinstance(replica.server, MariaDB)
    deadline = time.monotonic() + CAUGHT_UP_SECONDS
    column = "slave_sql_running_state" if mariadb else "replica_sql_running_state"
    replica.run("STOP REPLICA IO_THREAD")
    while "read all relay log" not in str(state := status(replica)[column]):
        assert time.monotonic() < deadline, state
        time.sleep(0.05)
    replica.run("STOP REPLICA", "RESET REPLICA ALL")


def status(replica: Source) -> dict[str, object]:
    """SHOW REPLICA STATUS, names in small letters."""
    with session(replica.root) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW REPLICA STATUS")
        names = [str(column[0]).lower() for column in cursor.description or ()]
        return dict(zip(names, cursor.fetchone() or (), strict=True))
