"""MySQL 8.0.19 or newer: typed tables ``_tr_<place>``, and views ``<place>`` of them for applications."""

from collections.abc import Mapping

from changes.canonical import Value
from changes.errors import Misconfigured
from changes.target import Target
from sinks.contract import Sink, SinkSpec
from sinks.sql.table import check_place

PREFIX = "_tr_"
"""What the base tables' names begin with."""
LONGEST_NAME = 64
"""Characters of a name."""


def build(url: str) -> Sink:
    """``url``: ``mysql://user:password@host:port/database``, see `changes.mysqlurl`."""
    from sinks.sql.mysql.sink import MysqlSink  # noqa: PLC0415  the driver is loaded only where it is used

    return MysqlSink(url)


def check(target: Target) -> None:
    check_place(target)
    where, longest = f"`{target.table}` → `{target.sink}`", LONGEST_NAME - len(PREFIX)
    if len(target.place) > longest:
        raise Misconfigured(f"{where}: `{target.place}` is longer than {longest} characters")
    if target.place.endswith(" ") or any(letter > "\uffff" for letter in target.place):
        raise Misconfigured(f"{where}: `{target.place}` cannot be the name of a table here; choose another `place`")


def place_of(target: Target, row: Mapping[str, Value]) -> str:
    return ""


def mysql(name: str) -> SinkSpec:
    """The dialect as the sink ``name``, whose endpoint is called so too."""
    return SinkSpec(name, name, build, check, place_of)
