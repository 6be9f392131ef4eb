"""PostgreSQL 15 or newer: typed tables in schema ``tailrace``, and views of them in ``public`` for applications."""

from collections.abc import Mapping

from changes.canonical import Value
from changes.errors import Misconfigured
from changes.target import Target
from sinks.contract import Sink, SinkSpec
from sinks.sql.table import check_place

LONGEST_NAME = 63
"""Bytes of an identifier that PostgreSQL keeps; it cuts off the rest without a word."""


def readers(database: str) -> str:
    """The group role of a database's applications: it owns nothing and reads the views, so that row-level security
    holds for it. `tailrace search` takes it too."""
    return f"{database}_app"


def build(url: str) -> Sink:
    """``url``: ``postgresql://user:password@host:port/database``."""
    from sinks.sql.postgres.sink import PostgresSink  # noqa: PLC0415  the driver is loaded only where it is used

    return PostgresSink(url)


def check(target: Target) -> None:
    check_place(target)
    if len(target.place.encode()) > LONGEST_NAME:
        raise Misconfigured(f"`{target.table}` → `{target.sink}`: `{target.place}` is longer than {LONGEST_NAME} bytes")


def place_of(target: Target, row: Mapping[str, Value]) -> str:
    return ""


def postgres(name: str) -> SinkSpec:
    """The dialect as the sink ``name``, whose endpoint is called so too."""
    return SinkSpec(name, name, build, check, place_of)
