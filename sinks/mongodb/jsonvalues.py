"""JSON columns as documents, and back: only where nothing of the text but its spacing is lost.

A number becomes an integer, a double whose shortest text is the same, or a Decimal128. What has no exact form is kept
as text in a document of one field, ``{"_tr_json": "…"}``: JSON's null (a null of MongoDB stands for SQL's), integers
and decimals of more than 34 digits, names that repeat, begin with ``$`` or hold NUL, more than `DEEPEST` levels, and
escaped surrogates.
"""

import json
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from bson import Decimal128

from changes.jsontext import Number, write
from sinks.mongodb import decimals

KEPT = "_tr_json"
"""The field of a text that is kept as it is."""

DEEPEST = 90
"""Levels of a value; MongoDB takes 100 of a document."""

_INT64 = 1 << 63


class _Inexact(Exception):
    """A value has no form of MongoDB's own that would be read back as it was."""


def to_bson(text: str) -> Any:
    """Raises `ValueError` where ``text`` is not JSON."""
    try:
        value = _DECODER.decode(text)
    except _Inexact:
        json.loads(text, parse_constant=_refuse)  # kept as it is, but no less JSON
        return {KEPT: text}
    if value is None or _too_deep(text, value) or ("\\u" in text and "\\ud" in text.lower()):
        return {KEPT: text}
    return value


def to_text(value: Any) -> str:
    """JSON text of what `to_bson` returned, and of whatever else has one; raises `ValueError` for the rest."""
    if isinstance(value, dict) and len(value) == 1 and isinstance(kept := value.get(KEPT), str):
        return kept
    try:
        return _QUICKLY(value)
    except (TypeError, ValueError):  # a number that is none of Python's, or what is no value of JSON
        return write(_plain(value))


def _plain(value: Any) -> Any:
    """What `jsontext.write` takes: numbers as their text."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return Number(int(value))
    if isinstance(value, float) and math.isfinite(value):
        return Number(repr(value))
    if isinstance(value, Decimal128) and value.to_decimal().is_finite():
        return Number(decimals.to_text(value))
    raise ValueError(f"{value!r} is no value of JSON")


def _document(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs) or any(name.startswith("$") or "\0" in name or name == KEPT for name in document):
        raise _Inexact
    return document


def _integer(text: str) -> int | Decimal128:
    if text == "-0" or len(text) > decimals.DIGITS:
        raise _Inexact
    number = int(text)
    return number if -_INT64 <= number < _INT64 else decimals.from_text(text)


def _number(text: str) -> float | Decimal128:
    double = float(text)
    if repr(double) == text:
        return double
    if "e" in text or "E" in text:
        if math.isfinite(double) and Decimal(repr(double)) == Decimal(text):
            return double
        raise _Inexact
    try:
        return decimals.from_text(text)
    except ValueError:
        raise _Inexact from None


def _refuse(name: str) -> Any:
    raise ValueError(f"`{name}` is no JSON number")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_document, parse_int=_integer, parse_float=_number, parse_constant=_refuse
)


_QUICKLY = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")).encode
"""Many times faster than `write`, and the same wherever it does not raise."""


def _too_deep(text: str, value: Any) -> bool:
    return text.count("[") + text.count("{") > DEEPEST and _depth(value) > DEEPEST


def _depth(value: Any) -> int:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if items is None else 1 + max(map(_depth, items), default=0)
