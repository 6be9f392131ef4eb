"""Partial JSON updates: the differences that stand in a column's place, applied to the value that was there before.

MySQL writes them with ``binlog_row_value_options=PARTIAL_JSON``, in the order in which they are to be applied. Layout
and meaning: `Json_diff_vector` and `apply_json_diff` in the server's `sql-common/json_diff.cc`. What does not fit the
value before is refused, as a replica refuses it.
"""

import json
import re
from bisect import bisect_left
from dataclasses import dataclass

from changes import jsontext
from streams.binlog import jsonb
from streams.binlog.broken import refusing
from streams.binlog.lengths import lenenc

_REPLACE, _INSERT, _REMOVE = range(3)
_LEG = re.compile(
    r"\.(?P<quoted>\")|\.(?P<name>[^.\[*\s\"][^.\[*\s]*)|\[(?P<cell>[0-9]{1,10})\]|\[last(?:-(?P<back>[0-9]{1,10}))?\]"
)
_STRING = json.JSONDecoder()


@dataclass
class _Object:
    """Members in MySQL's order: shorter names first, then by their bytes."""

    members: list[tuple[str, "_Node"]]


@dataclass
class _Array:
    items: list["_Node"]


_Node = tuple[int, memoryview] | _Object | _Array
"""A stored value as it is, or a container that a path led into."""


@dataclass(frozen=True)
class _Cell:
    """A place in an array, counted from its end where it says so."""

    index: int
    from_end: bool

    def within(self, count: int) -> int:
        """From 0 to ``count``, which is the place behind the last."""
        return max(count - 1 - self.index, 0) if self.from_end else min(self.index, count)

    def exists(self, count: int) -> bool:
        return self.index < count


_Leg = str | _Cell


@refusing
def patched(before: bytes, differences: bytes) -> str:
    """The JSON text of ``before``, a stored value, behind all ``differences``.

    Raises `ValueError` where they are none, or do not fit.
    """
    document = _Array([(before[0], memoryview(before)[1:])])
    at = 0
    while at < len(differences):
        operation = differences[at]
        path, at = _sized(differences, at + 1)
        value: _Node | None = None
        if operation != _REMOVE:
            raw, at = _sized(differences, at)
            value = (raw[0], memoryview(raw)[1:])
        _apply(document, operation, _legs(path.decode()), value)
    out = jsonb.Text(len(before) + len(differences))
    _write(document.items[0], out, 0)
    return out.told()


def _sized(data: bytes, at: int) -> tuple[bytes, int]:
    size, start = lenenc(data, at)
    if start + size > len(data):
        raise ValueError("a JSON difference is cut off")
    return data[start : start + size], start + size


def _legs(path: str) -> list[_Leg]:
    legs: list[_Leg] = []
    at = 1
    while at < len(path):
        leg = _LEG.match(path, at)
        if leg is None:
            break
        at = leg.end()
        if leg["quoted"]:
            name, at = _STRING.raw_decode(path, at - 1)
            legs.append(name)
        elif leg["name"]:
            legs.append(leg["name"])
        else:
            legs.append(_Cell(int(leg["cell"] or leg["back"] or 0), leg["cell"] is None))
    if path[:1] != "$" or at < len(path) or not 1 <= len(legs) <= jsonb.DEEPEST:
        raise ValueError(f"`{path[:80]}` is no path of a JSON difference")
    return legs


def _apply(document: _Array, operation: int, legs: list[_Leg], value: _Node | None) -> None:
    container = _opened(document, 0)
    for leg in legs[:-1]:
        container = _opened(container, _existing(container, leg))
    leg = legs[-1]
    if operation == _REPLACE and value is not None:
        _put(container, _existing(container, leg), value)
    elif operation == _REMOVE:
        place = _existing(container, leg)
        del (container.members if isinstance(container, _Object) else container.items)[place]
    elif operation == _INSERT and value is not None:
        _insert(container, leg, value)
    else:
        raise ValueError(f"there is no JSON difference {operation}")


def _opened(container: _Object | _Array, place: int) -> _Object | _Array:
    """What stands at ``place``, taken apart."""
    node = container.members[place][1] if isinstance(container, _Object) else container.items[place]
    if isinstance(node, tuple):
        type_, data = node
        entries = jsonb.entries(type_, data)
        if type_ in jsonb.OBJECTS:
            node = _Object([(name, (inner, body)) for name, inner, body in entries])
        else:
            node = _Array([(inner, body) for _, inner, body in entries])
        _put(container, place, node)
    return node


def _put(container: _Object | _Array, place: int, node: _Node) -> None:
    if isinstance(container, _Object):
        container.members[place] = (container.members[place][0], node)
    else:
        container.items[place] = node


def _place(container: _Object | _Array, leg: _Leg) -> int | None:
    if isinstance(container, _Object):
        return next((index for index, (name, _) in enumerate(container.members) if name == leg), None)
    if isinstance(leg, _Cell) and leg.exists(len(container.items)):
        return leg.within(len(container.items))
    return None


def _existing(container: _Object | _Array, leg: _Leg) -> int:
    place = _place(container, leg)
    if place is None:
        raise ValueError("a JSON difference is told of a place that is not there")
    return place


def _insert(container: _Object | _Array, leg: _Leg, value: _Node) -> None:
    if isinstance(container, _Array) and isinstance(leg, _Cell):
        container.items.insert(leg.within(len(container.items)), value)
    elif isinstance(container, _Object) and isinstance(leg, str) and _place(container, leg) is None:
        container.members.insert(
            bisect_left(container.members, _order(leg), key=lambda it: _order(it[0])), (leg, value)
        )
    else:
        raise ValueError("a JSON difference inserts where it cannot")


def _order(name: str) -> tuple[int, bytes]:
    raw = name.encode()
    return len(raw), raw


def _write(node: _Node, out: jsonb.Text, depth: int) -> None:
    if isinstance(node, tuple):
        jsonb.write(*node, out, depth)
        return
    out.append("{" if isinstance(node, _Object) else "[")
    members = node.members if isinstance(node, _Object) else [("", item) for item in node.items]
    for index, (name, inner) in enumerate(members):
        if index:
            out.append(",")
        if isinstance(node, _Object):
            out.append(f"{jsontext.quote(name)}:")
        _write(inner, out, depth + 1)
    out.append("}" if isinstance(node, _Object) else "]")
