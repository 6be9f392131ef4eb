"""Looking up what a database holds, and bringing it to what the tables need."""

# ruff: noqa: S608  the text is made here, of literals

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from changes.errors import Misconfigured, Rejected, Transient
from sinks.sql.mysql import ddl
from sinks.sql.mysql.pool import Connection, ask, translated
from sinks.sql.mysql.types import text_literal
from sinks.sql.table import Table

_OLDEST = (8, 0, 19)  # the first that lets an upsert name the row that it was given
_WAIT = 30
_DDL_LOCK = "CONCAT('tailrace ', LEFT(SHA2(DATABASE(), 256), 32))"  # the names of locks are the whole server's

_HERE = "table_schema = DATABASE() AND table_name = "
_COLUMNS = f"SELECT column_name, column_type FROM information_schema.columns WHERE {_HERE}%s ORDER BY ordinal_position"
_KEY = (
    f"SELECT column_name FROM information_schema.statistics WHERE {_HERE}%s AND index_name = 'PRIMARY'"
    " ORDER BY seq_in_index"
)
_INDEXES = f"SELECT DISTINCT index_name FROM information_schema.statistics WHERE {_HERE}%s"
_KIND = f"SELECT table_type FROM information_schema.tables WHERE {_HERE}%s"


def ensure(connection: Connection, tables: Sequence[Table]) -> None:
    """Create or widen what ``tables`` need; one process at a time. What is cut off in the middle is gone on with by
    the next one: MySQL has no transactions for this."""
    _check_version(connection)
    with alone(connection):
        for name, statement in ddl.SETUP.items():
            if (found := columns(connection, name)) == {}:
                ask(connection, statement)
            elif name == ddl.SIDE_TABLE and "gen" not in found:
                ask(connection, ddl.WIDEN_SETUP)
        for table in tables:
            for statement in ddl.plan(table, _find(connection, table)):
                try:
                    with translated():
                        ask(connection, statement)
                except Rejected as error:  # a row that would be too long, say
                    raise Misconfigured(f"`{table.target.table}` → `{table.target.sink}`: {error}") from error


def has_meta(connection: Connection) -> bool:
    """Whether the database keeps stamps; one that was emptied under us does no more."""
    return bool(columns(connection, ddl.META_TABLE))


def ensure_meta(connection: Connection) -> None:
    """Make the table of stamps where it is gone; commits what was begun."""
    if not has_meta(connection):
        ask(connection, ddl.SETUP[ddl.META_TABLE])


def _find(connection: Connection, table: Table) -> ddl.Found:
    base, place = ddl.base_name(table), table.target.place
    kinds = [kind for (kind,) in ask(connection, _of(_KIND, place))]
    return ddl.Found(
        columns=columns(connection, base),
        key=tuple(name for (name,) in ask(connection, _of(_KEY, base))),
        indexes=tuple(name for (name,) in ask(connection, _of(_INDEXES, base))),
        view=tuple(columns(connection, place)),
        taken=kinds not in ([], ["VIEW"]),
    )


def columns(connection: Connection, name: str) -> dict[str, str]:
    """The columns of a table or view with their types, in their order; none where it does not exist."""
    return dict(ask(connection, _of(_COLUMNS, name)))


def _of(text: str, name: str) -> bytes:
    return text.encode().replace(b"%s", text_literal(name))


def _check_version(connection: Connection) -> None:
    ((version,),) = ask(connection, "SELECT VERSION()")
    numbers = tuple(int(part) for part in version.partition("-")[0].split(".")[:3] if part.isdigit())
    if "mariadb" in version.lower() or numbers < _OLDEST:
        raise Misconfigured(f"`{version}` does not serve here: MySQL {'.'.join(map(str, _OLDEST))} or newer is needed")


@contextmanager
def alone(connection: Connection) -> Iterator[None]:
    ((got,),) = ask(connection, f"SELECT GET_LOCK({_DDL_LOCK}, {_WAIT})")
    if got != 1:
        raise Transient("MySQL: another process has been creating tables for half a minute")
    try:
        yield
    finally:
        if connection.open:  # a broken one holds no lock
            ask(connection, f"SELECT RELEASE_LOCK({_DDL_LOCK})")
