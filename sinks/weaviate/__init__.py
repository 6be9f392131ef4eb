"""Weaviate 1.35 or newer: a row is an object of a class, its vectors are the object's named vectors."""

import re
from collections.abc import Mapping

from changes.canonical import Value
from changes.errors import Misconfigured
from changes.target import Target
from sinks.contract import Sink, SinkSpec

META = "Tailrace_meta"
"""The class of what Tailrace remembers about the store itself, and so no place for rows."""

_CLASS = re.compile(r"[A-Z][0-9A-Za-z_]{0,199}")


def build(url: str) -> Sink:
    """``url``: ``http://user:key@host:port?grpc=port``; the key says who we are, the user is for people to read."""
    from sinks.weaviate.sink import WeaviateSink  # noqa: PLC0415  the driver is loaded only where it is used

    return WeaviateSink(url)


def check(target: Target) -> None:
    where = f"`{target.table}` → `weaviate`"
    if not _CLASS.fullmatch(target.place):
        raise Misconfigured(
            f"{where}: `{target.place}` is no name of a class: it begins with a capital letter, and letters, digits"
            " and `_` follow, as in `AIConversation`"
        )
    if target.place.lower() == META.lower():
        raise Misconfigured(f"{where}: `{target.place}` is Tailrace's own class; choose another `place`")
    if target.keep != "mirror":
        raise Misconfigured(f"{where}: rows here have no lifetime; declare `keep: mirror`")
    if target.owns != "table":
        raise Misconfigured(f"{where}: `owns: {target.owns}` is not served here; only `owns: table` is")


def place_of(target: Target, row: Mapping[str, Value]) -> str:
    return ""


WEAVIATE = SinkSpec("weaviate", "weaviate", build, check, place_of, guarded=False)
