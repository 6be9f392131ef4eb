"""Elasticsearch 8 or 9: a row as a document under its key, a deleted one as a tombstone that applications do not see.

Applications read ``<database>_<place>``, an alias that leaves the tombstones out; the documents are in the hidden
index `index_of` behind it.
"""

from collections.abc import Mapping

from changes.canonical import Value
from changes.errors import Misconfigured
from changes.target import Target
from sinks.contract import Sink, SinkSpec

META_INDEX = "tailrace_meta"
"""Where stamps are kept. No target's name: nobody knows a database before there are targets."""

LONGEST_NAME = 255
"""Bytes of an index's name."""

_SUFFIX = "_tr"
_FORBIDDEN = frozenset('\\/*?"<>| ,#:{}\0')


def build(url: str) -> Sink:
    """``url``: ``http[s]://[user:password@]host:port``, with ``?ca_certs=<file>`` for an authority of one's own."""
    from sinks.elasticsearch.sink import ElasticsearchSink  # noqa: PLC0415  the driver is loaded only where it is used

    return ElasticsearchSink(url)


def alias_of(target: Target) -> str:
    """What applications read: the place in lower case, behind the name of its database where it does not begin so."""
    prefix, place = f"{target.database}_".lower(), target.place.lower()
    return place if place.startswith(prefix) else prefix + place


def index_of(target: Target) -> str:
    """What holds a target's rows and tombstones."""
    return alias_of(target) + _SUFFIX


def check(target: Target) -> None:
    """Raises `Misconfigured` for a place that cannot be an index, or a declaration that is not served here."""
    where = f"`{target.table}` → `elasticsearch`"
    name = index_of(target)
    if not target.place or _FORBIDDEN.intersection(name) or name.startswith(("_", "-", "+", ".")):
        raise Misconfigured(
            f"{where}: `{alias_of(target)}` cannot be the name of an index: no spaces, no braces and none of"
            ' `\\ / * ? " < > | , # :`, and a letter or a digit in front'
        )
    if len(name.encode()) > LONGEST_NAME:
        raise Misconfigured(f"{where}: the index `{name}` would have more than {LONGEST_NAME} bytes in its name")
    if target.place.lower().endswith(_SUFFIX) or name == META_INDEX:
        raise Misconfigured(f"{where}: names that end in `{_SUFFIX}` are those of the indexes behind the aliases")
    if target.keep != "mirror":
        raise Misconfigured(f"{where}: rows here have no lifetime; declare `keep: mirror`")
    if target.owns != "table":
        raise Misconfigured(f"{where}: `owns: {target.owns}` is not served here; only `owns: table` is")


def place_of(target: Target, row: Mapping[str, Value]) -> str:
    return ""


ELASTICSEARCH = SinkSpec("elasticsearch", "elasticsearch", build, check, place_of)
