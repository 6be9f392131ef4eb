"""What of a person's values can be looked for as bytes, in the forms in which stores write them: pure.

A text is looked for by stretches of it that every store writes alike: without quotes, backslashes, control characters
and whatever else JSON, SQL or a record's text form may write in another way. What consists of few different bytes,
zeros or dashes, is not looked for: it stands in anything and tells of nobody.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator, Mapping

from audit.search.needle import LONGEST, WINDOW, Text
from changes.canonical import Value
from changes.schema import Column, Kind, TableSchema

LEAST = 24
"""Bytes of a stretch that tells whose text it is, where the column does not."""
STRETCHES = 3
"""So many of a text are looked for: its longest ones. Of bytes: their beginning, middle and end."""
BYTES = 30
"""Of binary values so many bytes are a stretch: in hexadecimal they are fewer than `LONGEST`."""
_ENDS = re.compile(r"[\x00-\x1f\x7f\"'\\/<>&,(){}\[\]]")


def stretches(text: str, least: int) -> list[str]:
    """The longest stretches of a text, each of ``least`` bytes or more and cut to `LONGEST`."""
    parts = {_cut(part.strip(), LONGEST): len(part) for part in _ENDS.split(text)}
    telling = [part for part in parts if tells(part.encode("utf-8", "replace"), least)]
    return sorted(telling, key=lambda part: (-parts[part], part))[:STRETCHES]


def tells(stretch: bytes, least: int) -> bool:
    """Whether there are ``least`` bytes, and different ones enough: two of 8, four of 24."""
    return len(stretch) >= least and len(set(stretch)) > least // 8


def _cut(text: str, size: int) -> str:
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")


def forms(column: Column, value: Value, *, strict: bool) -> Iterator[list[bytes]]:
    """Each thing to be looked for of a value, in the forms that it may be written in.

    ``strict`` values are told by eight bytes, others only by a stretch of `LEAST`. Numbers and times are told by
    nothing: they stand in other rows too.
    """
    if value is None or not isinstance(value, str | bytes):
        return
    if column.kind is Kind.BYTES:
        data = value if isinstance(value, bytes) else _from_base64(value)
        last = max(len(data) - BYTES, 0)
        for start in sorted({at // 3 * 3 for at in (0, last // 2, last)}):  # base64 writes three bytes as four
            some = data[start : start + BYTES]
            if tells(some, LEAST):
                yield [some, base64.b64encode(some[: len(some) // 3 * 3]), some.hex().encode()]
    elif column.kind in {Kind.TEXT, Kind.JSON} and isinstance(value, str) and not column.type.startswith("enum"):
        for part in stretches(value, WINDOW if strict else LEAST):
            plain = part.encode("utf-8", "replace")
            escaped = json.dumps(part)[1:-1].encode()
            yield [plain] if escaped == plain else [plain, escaped[: LONGEST // 6 * 6]]


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except (ValueError, binascii.Error):
        return b""


class Person:
    """What is known of one person: gathered of rows, old and new, and of the keys that they had."""

    def __init__(self, most: int = 2000) -> None:
        self._most = most
        self._strict: dict[bytes, list[Text]] = {}
        self._others: dict[bytes, list[Text]] = {}
        self.left_out = 0
        """Values beyond ``most`` that are not looked for as bytes."""

    def learn(
        self,
        table: str,
        schema: TableSchema,
        row: Mapping[str, Value],
        *,
        personal: Iterable[str],
        only: Iterable[str] | None = None,
    ) -> None:
        """``personal`` columns hold what names a person; ``only`` restricts what is taken to some columns."""
        named, some = frozenset(personal), None if only is None else frozenset(only)
        for column in schema.columns:
            if column.name not in row or (some is not None and column.name not in some):
                continue
            strict = column.name in named
            for written in forms(column, row[column.name], strict=strict):
                self._add(f"{table}.{column.name}", written, strict=strict)

    def _add(self, what: str, written: list[bytes], *, strict: bool) -> None:
        group = len(self._strict) + len(self._others)
        known = self._strict if strict else self._others
        if written[0] in known:
            return
        if len(self._strict) + len(self._others) >= self._most and not strict:
            self.left_out += 1
            return
        known[written[0]] = [Text(data, what, strict, group) for data in written]

    @property
    def texts(self) -> list[Text]:
        """All that is looked for of them."""
        return [one for written in (*self._strict.values(), *self._others.values()) for one in written]
