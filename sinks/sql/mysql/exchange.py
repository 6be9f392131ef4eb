"""Exchanging tables under one name: renamed in one statement, while another connection holds the locks of all writers
of the live ones. A view that applications read goes by names, so it reads the new table from then on."""

# ruff: noqa: S608  the text is made here, of quoted identifiers

from collections.abc import Iterable, Sequence

from changes.record import RESERVED
from changes.target import Target
from sinks.contract import Swap
from sinks.sql.mysql import catalog, ddl
from sinks.sql.mysql.pool import Connection, ask
from sinks.sql.mysql.statements import lock_every
from sinks.sql.mysql.types import text_literal
from sinks.sql.table import quote

_READERS_SECONDS = 5
"""How long readers of a table are waited for; those that come meanwhile wait behind us."""

_MERGE = (
    f'INSERT INTO {ddl.SIDE_TABLE} (target, "key", pos, bucket, gen, seen_at)'
    f' SELECT %b, s."key", s.pos, s.bucket, s.gen, s.seen_at FROM {ddl.SIDE_TABLE} AS s WHERE s.target = %b'
    " ON DUPLICATE KEY UPDATE pos = s.pos, bucket = s.bucket, gen = s.gen, seen_at = s.seen_at"
)
_FORGET = f"DELETE FROM {ddl.SIDE_TABLE} WHERE target = %b"


def hold(connection: Connection, swaps: Sequence[Swap]) -> None:
    """Begins a transaction for as long as which nobody else writes to the live places."""
    connection.begin()
    ask(connection, lock_every([swap.live.name for swap in swaps]))


def exchanged(connection: Connection, swaps: Sequence[Swap]) -> bool:
    return all(catalog.columns(connection, ddl.base_name_of(swap.kept.place)) for swap in swaps)


def exchange(connection: Connection, holder: Connection, swaps: Sequence[Swap]) -> None:
    """Over a connection of its own, while ``holder`` holds; nothing where it was done before, but what was left to do.

    Tombstones go to the live places' names before the tables do: there they are as true of the old ones. The tables are
    locked before they are renamed, and then ``holder`` is asked whether it still holds: so nobody can write in between,
    even if both connections break off and the server goes on alone with the statement that it was given.
    """
    with catalog.alone(connection):
        if not exchanged(connection, swaps):
            for swap in swaps:
                ask(connection, _of(_MERGE, swap.live.name, swap.shadow.name))
                _narrow_view(connection, swap)
            ask(connection, f"SET lock_wait_timeout = {_READERS_SECONDS}")
            ask(connection, f"LOCK TABLES {', '.join(map(_locked, swaps))}")
            ask(holder, lock_every([swap.shadow.name for swap in swaps]))
            ask(connection, f"RENAME TABLE {', '.join(map(_renamed, swaps))}")
            ask(connection, "UNLOCK TABLES")
        for swap in swaps:
            shown = _shown(swap.live, catalog.columns(connection, ddl.base_name_of(swap.live.place)))
            ask(connection, ddl.create_view(swap.live.place, shown))
            ask(connection, f"DROP VIEW IF EXISTS {quote(swap.shadow.place)}")
            ask(connection, _of(_FORGET, swap.shadow.name))


def drop(connection: Connection, places: Sequence[str]) -> None:
    with catalog.alone(connection):
        for place in places:
            ask(connection, f"DROP VIEW IF EXISTS {quote(place)}")
            ask(connection, f"DROP TABLE IF EXISTS {quote(ddl.base_name_of(place))}")
            if catalog.columns(connection, ddl.SIDE_TABLE):
                ask(connection, _of(_FORGET, place))


def _narrow_view(connection: Connection, swap: Swap) -> None:
    """A view must not name columns that the new table has not."""
    there = catalog.columns(connection, ddl.base_name_of(swap.shadow.place))
    view = list(catalog.columns(connection, swap.live.place))
    both = [name for name in view if name in there]
    if both != view:
        ask(connection, ddl.create_view(swap.live.place, both))


def _locked(swap: Swap) -> str:
    return ", ".join(f"{quote(ddl.base_name_of(one.place))} WRITE" for one in (swap.live, swap.shadow))


def _renamed(swap: Swap) -> str:
    live, shadow, kept = (quote(ddl.base_name_of(one.place)) for one in (swap.live, swap.shadow, swap.kept))
    return f"{live} TO {kept}, {shadow} TO {live}"


def _shown(target: Target, columns: Iterable[str]) -> list[str]:
    """The columns of a base table that its view shows."""
    return [
        name
        for name in columns
        if name in target.key
        or not (name in RESERVED or name in target.hidden or (target.only is not None and name not in target.only))
    ]


def _of(text: str, *names: str) -> bytes:
    return text.encode() % tuple(map(text_literal, names))
