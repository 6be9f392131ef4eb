"""Pages of rows have the hashes of their rows, whatever values there are, right ones and wrong ones: those of
Python's pages and of the native ones."""

import datetime as dt
import importlib.util
import json
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_changes_canonical import VALUES, WIDE, wide_rows

from audit import pages
from audit.pages import native_writer
from changes.canonical import Value, canonical_row, row_hash
from changes.canonical_pages import Writer
from changes.key import key_of, keys_of
from changes.schema import Column, Kind, TableSchema
from streams.capture.engine import native_module
from streams.native import MODULE

NAMES = [column.name for column in WIDE]

Making = Callable[..., pages.Writer]


def _native(columns: list[Column], *, lenient: bool = False) -> pages.Writer:
    module = native_module({"TAILRACE_ENGINE": "native"})
    assert module is not None
    return native_writer(module, columns, lenient=lenient)


HAS_NATIVE = pytest.mark.skipif(importlib.util.find_spec(MODULE) is None, reason="the native code is not built here")


BOTH = pytest.mark.parametrize(
    "making", [pytest.param(Writer, id="python"), pytest.param(_native, id="native", marks=HAS_NATIVE)]
)


def page_of(making: Making, columns: list[Column], rows: list[dict[str, Any]], *, lenient: bool = False) -> list[bytes]:
    values = [[row[column.name] for row in rows] for column in columns]
    return making(columns, lenient=lenient).page(values).rows([column.name for column in columns])


@BOTH
@given(st.lists(wide_rows, max_size=4), st.randoms())
@settings(max_examples=50)
def test_a_page_is_its_rows_in_whatever_order_columns_come(
    making: Making, rows: list[dict[str, Value]], random: Any
) -> None:
    columns = random.sample(WIDE, len(WIDE))
    page = making(columns).page([[row[column.name] for row in rows] for column in columns])
    assert page.rows(NAMES) == [canonical_row(WIDE, row) for row in rows]
    assert page.hashes(NAMES) == [row_hash(WIDE, row) for row in rows]
    some = WIDE[::3]
    assert page.hashes({column.name: column for column in some}) == [row_hash(some, row) for row in rows]
    assert page.rows(column.name for column in some) == [canonical_row(some, row) for row in rows]


ANYTHING: list[Any] = [
    None, True, False, 0, -7, 10**30, 1.5, math.nan, math.inf, "", "7", " 7", "t", "1.50", "-0", "\ud800", "é", "１",
    "2026-01-02", "2026-01-02Z", "2026-01-02T00:00:00Z", "2026-01-02 03:04:05.120+00", "2026-01-02T03:04:05.000000Z",
    "2026-01-02  03:04:05+00:00", "03:04:05.500Z", "-01:02:03.0", "2026-01-02Té.0", "{}", "[1,",
    "-0.00", "+7.", ".5", ".", "1e3", 1 << 63, -(1 << 63), -0.0,
    '{"b": 1.0, "a": [null]}',
    '"\\ud800"', '{"b":[true],"a":"2"}', "NaN", b"", b"\0\xff", b"1", "AP8=", Decimal("1.50"), [1.0, -0.0], [],
    dt.date(2026, 1, 2), dt.datetime(2026, 1, 2, 3, 4, 5, 120000), dt.time(3, 4, 5),
]  # fmt: skip


@BOTH
@pytest.mark.parametrize("kind", list(Kind))
@given(values=st.lists(st.sampled_from(ANYTHING) | st.text(max_size=5), min_size=1, max_size=4), data=st.data())
@settings(max_examples=60)
def test_what_anybody_put_there_is_hashed_alike(
    making: Making, kind: Kind, values: list[Any], data: st.DataObject
) -> None:
    columns = [Column("c\u00e9", kind, "any")]
    values.append(data.draw(st.none() | VALUES[kind]))
    rows = [{"c\u00e9": value} for value in values]
    alone = [canonical_row(columns, row, lenient=True) for row in rows]
    assert page_of(making, columns, rows, lenient=True) == alone
    if any(b"!" in one[:8] for one in alone):
        with pytest.raises(ValueError, match=f"^no {kind}: "):
            page_of(making, columns, rows)
    else:
        assert page_of(making, columns, rows) == alone


NUMBERS = st.from_regex(r"\A-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?\Z")
"""As JSON has them, in whatever spelling."""


def _spelled(value: Any, *, ascii_only: bool) -> str:
    if isinstance(value, dict):
        inside = (f"{json.dumps(name, ensure_ascii=ascii_only)} : {_spelled(one, ascii_only=ascii_only)}"
                  for name, one in value.items())  # fmt: skip
        return f"{{{','.join(inside)} }}"
    if isinstance(value, list):
        return f"[ {', '.join(_spelled(one, ascii_only=ascii_only) for one in value)}]"
    return value if isinstance(value, str) else json.dumps(value[0], ensure_ascii=ascii_only)


DOCUMENTS = st.recursive(
    NUMBERS | st.tuples(st.none() | st.booleans() | st.text()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
)


@BOTH
@given(value=DOCUMENTS, ascii_only=st.booleans())
@settings(max_examples=200)
def test_documents_are_spelled_alike(making: Making, value: Any, *, ascii_only: bool) -> None:
    columns = [Column("c", Kind.JSON, "json")]
    row = {"c": _spelled(value, ascii_only=ascii_only)}
    assert page_of(making, columns, [row]) == [canonical_row(columns, row)]


@BOTH
@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"\\u0061":{"a":2}}',
        "[" * 33 + "]" * 33,
        '"\x7f\u2028/\\/"',
        '{"$serde_json::private::Number":"5"}',
        "1e" + "9" * 8,
    ],
)
def test_odd_documents_are_spelled_alike(making: Making, text: str) -> None:
    columns = [Column("c", Kind.JSON, "json")]
    assert page_of(making, columns, [{"c": text}]) == [canonical_row(columns, {"c": text})]


@BOTH
def test_a_page_without_rows_is_empty(making: Making) -> None:
    assert page_of(making, WIDE, []) == []


@BOTH
def test_a_column_that_is_not_there_is_told(making: Making) -> None:
    with pytest.raises(KeyError, match="b"):
        making([Column("a", Kind.TEXT, "text")]).page([["x"]]).rows(["a", "b"])


@BOTH
def test_columns_of_different_lengths_are_refused(making: Making) -> None:
    writer = making([Column("a", Kind.TEXT, "text"), Column("b", Kind.TEXT, "text")])
    with pytest.raises(ValueError, match=r"zip|each column"):
        writer.page([["x"]])
    with pytest.raises(ValueError, match=r"zip|each column"):
        writer.page([["x"], ["y"], ["z"]])
    with pytest.raises(ValueError, match=r"zip|each column"):
        writer.page([["x"], ["y", "z"]]).rows(["a", "b"])


@BOTH
def test_long_values_keep_their_lengths(making: Making) -> None:
    columns = [Column("c", Kind.TEXT, "text")]
    rows = [{"c": "x" * length} for length in (0, 1, 4095, 4096, 5000)]
    assert page_of(making, columns, rows) == [canonical_row(columns, row) for row in rows]


@given(wide_rows, st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
@settings(max_examples=50)
def test_keys_of_many_rows_are_those_of_each(row: dict[str, Value], names: list[str]) -> None:
    schema = TableSchema("d", "t", tuple(WIDE), tuple(names))
    made, alone = keys_of(schema)(row), key_of(schema, row)
    assert (made.values, made.canonical) == (alone.values, alone.canonical)


@pytest.mark.parametrize("value", [7, -7, 0, True, "7", 7.0])
def test_an_integer_key_is_the_same_however_it_is_held(value: Any) -> None:
    schema = TableSchema("d", "t", (Column("id", Kind.INTEGER, "bigint"),), ("id",))
    assert keys_of(schema)({"id": value}).canonical == key_of(schema, {"id": value}).canonical
