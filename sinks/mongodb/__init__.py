"""MongoDB: a collection for each target, its rows as documents, and beside it a view of them for applications."""

from collections.abc import Mapping

from changes.canonical import Value
from changes.errors import Misconfigured
from changes.target import Target
from sinks.contract import Sink, SinkSpec

VIEW_SUFFIX = "_app"
"""What stands behind a collection's name to make that of its view."""

META = "_tailrace_meta"
"""The collection of what the sink itself keeps."""

LONGEST_NAME = 187
"""Bytes: with a database of 63, a point and the view's suffix it makes the 255 that MongoDB takes."""


def build(url: str) -> Sink:
    """``url``: ``mongodb://user:password@host:port/database``, several hosts and options as MongoDB's own URLs."""
    from sinks.mongodb.sink import MongoSink  # noqa: PLC0415  the driver is loaded only where it is used

    return MongoSink(url)


def check(target: Target) -> None:
    where, place = f"`{target.table}` → `mongodb`", target.place
    if not place or place.startswith(("_tr", META, "system.")) or place.endswith(VIEW_SUFFIX):
        raise Misconfigured(f"{where}: `{place}` cannot be the name of a collection here; choose another `place`")
    if "{" in place:
        raise Misconfigured(f"{where}: `place` is a collection's name, not a pattern: `{place}`")
    if "$" in place or "\0" in place or len(place.encode()) > LONGEST_NAME:
        raise Misconfigured(
            f"{where}: `{place}` is no name of a collection: at most {LONGEST_NAME} bytes, without `$` and NUL"
        )
    if target.owns != "table":
        raise Misconfigured(f"{where}: `owns: {target.owns}` is not served here; only `owns: table` is")
    if target.keep == "cache" and not target.keep_for:
        raise Misconfigured(f"{where}: `keep: cache` needs a lifetime; declare `keep_for`")
    if target.keep == "cache" and (target.keep_for or 0) < target.tombstones_for:
        raise Misconfigured(
            f"{where}: a document that expires takes its position along, and an older change could bring it back:"
            f" `keep_for` is at least {target.tombstones_for} seconds here"
        )


def place_of(target: Target, row: Mapping[str, Value]) -> str:
    return ""


MONGODB = SinkSpec("mongodb", "mongodb", build, check, place_of)
