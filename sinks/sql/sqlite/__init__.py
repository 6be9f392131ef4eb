"""SQLite: a file per user, for rows that belong to one person."""

from collections.abc import Mapping

from changes.canonical import Value
from changes.errors import Misconfigured, Rejected
from changes.target import Target
from sinks.contract import Sink, SinkSpec
from sinks.sql.table import check_place


def build(url: str) -> Sink:
    """``url``: the folder of the files, plain or as ``sqlite:///folder``."""
    from sinks.sql.sqlite.sink import SqliteSink  # noqa: PLC0415  the driver is loaded only where it is used

    return SqliteSink(url.removeprefix("sqlite://"))


def check(target: Target) -> None:
    check_place(target)
    if target.user is None:
        raise Misconfigured(
            f"`{target.table}` → `sqlite`: only rows of one person are kept here; declare `user`, their owner's column"
        )


def place_of(target: Target, row: Mapping[str, Value]) -> str:
    """The id of the row's owner, as text. Raises `Rejected` where the row has none."""
    owner = None if target.user is None else row[target.user]
    if owner is None or owner == "":
        raise Rejected(f"`{target.table}`: the row belongs to nobody: its `{target.user}` is empty")
    return str(owner)


SQLITE = SinkSpec("sqlite", "sqlite", build, check, place_of)
