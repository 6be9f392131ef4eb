"""The canonical form: what stores render differently is equal, what changed is not, and the bytes are frozen."""

import base64
import datetime as dt
import itertools
import json
import math
import struct
from array import array
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from changes.canonical import BUCKETS, Value, bucket_of, canonical_json, canonical_row, compiled, halves, row_hash
from changes.key import key_json, key_of
from changes.schema import Column, Kind, TableSchema, kind_of

GOLDEN = Path(__file__).parent / "golden"


class GoldenRow(msgspec.Struct, kw_only=True):
    """``columns`` are (name, type), of the MySQL type's kind where ``kinds`` has no other; ``canonical`` has every byte
    beyond ASCII as ``\\xNN``."""

    name: str
    columns: list[tuple[str, str]]
    row: dict[str, bool | int | float | str | list[float] | None]
    canonical: str
    hash: str
    kinds: dict[str, Kind] = {}

    @property
    def schema(self) -> tuple[Column, ...]:
        return tuple(Column(name, self.kinds.get(name, kind_of(type_)), type_) for name, type_ in self.columns)


class GoldenKey(GoldenRow, kw_only=True):
    """``row`` holds the key columns, in key order; ``json`` is the Kafka key."""

    json: str
    bucket: int


ROWS = msgspec.json.decode((GOLDEN / "rows.json").read_bytes(), type=list[GoldenRow])
KEYS = msgspec.json.decode((GOLDEN / "keys.json").read_bytes(), type=list[GoldenKey])


@pytest.mark.parametrize("golden", ROWS, ids=lambda golden: golden.name)
def test_the_canonical_bytes_of_a_row_are_frozen(golden: GoldenRow) -> None:
    assert canonical_row(golden.schema, golden.row).decode("ascii", "backslashreplace") == golden.canonical
    assert f"{row_hash(golden.schema, golden.row):016x}" == golden.hash


@pytest.mark.parametrize("golden", KEYS, ids=lambda golden: golden.name)
def test_the_bytes_of_a_key_are_frozen(golden: GoldenKey) -> None:
    schema = TableSchema("d", "t", golden.schema, tuple(golden.row))
    key = key_of(schema, golden.row)
    assert key_json(schema, golden.row).decode() == golden.json
    assert key.canonical.decode("ascii", "backslashreplace") == golden.canonical
    assert key.bucket == golden.bucket


def test_the_golden_rows_hold_every_kind() -> None:
    assert {column.kind for golden in ROWS for column in golden.schema} == set(Kind)


def canonical(kind: Kind, value: Any) -> bytes:
    return canonical_row([Column("c", kind, "any")], {"c": value})


@pytest.mark.parametrize(
    ("kind", "same"),
    [
        (Kind.INTEGER, [7, "7", 7.0, Decimal(7)]),
        (Kind.INTEGER, [0, "0", "-0", False]),
        (Kind.INTEGER, [2**64 - 1, "18446744073709551615"]),
        (Kind.BOOLEAN, [True, 1, "1", "t", "true", b"\1"]),
        (Kind.BOOLEAN, [False, 0, "0", "f", "false", b"\0"]),
        (Kind.DECIMAL, ["1.50", "1.5", "01.5000", "+1.5", "1.5E0", "15e-1", Decimal("1.50"), 1.5]),
        (Kind.DECIMAL, ["0", "0.00", "-0", "-0.000", ".0", Decimal("-0")]),
        (Kind.DECIMAL, ["100", "100.0", "1E+2", Decimal("1E2"), 100]),
        (Kind.DECIMAL, ["-12.3", "-012.30", Decimal("-12.3")]),
        (Kind.DOUBLE, [0.1, "0.1", "1e-1"]),
        (Kind.DOUBLE, [0.0, -0.0, 0, "0"]),
        (Kind.DOUBLE, [1e22, "1e22", 10**22]),
        (Kind.BYTES, ["AP8=", b"\x00\xff", bytearray(b"\x00\xff"), memoryview(b"\x00\xff")]),
        (Kind.BYTES, ["", b""]),
        (Kind.DATE, ["2026-01-02Z", "2026-01-02", dt.date(2026, 1, 2), "2026-01-02T00:00:00"]),
        (Kind.TIME, ["03:04:05Z", "03:04:05", "03:04:05.000000Z", dt.time(3, 4, 5)]),
        (Kind.TIME, ["-01:02:03.500Z", "-01:02:03.5"]),
        (
            Kind.DATETIME,
            ["2026-01-02 03:04:05", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.0Z", dt.datetime(2026, 1, 2, 3, 4, 5)],
        ),
        (
            Kind.TIMESTAMP,
            [
                "2026-01-02T03:04:05.120000Z",
                "2026-01-02 03:04:05.12+00",
                "2026-01-02T03:04:05.12+00:00",
                dt.datetime(2026, 1, 2, 3, 4, 5, 120000, tzinfo=dt.UTC),
            ],
        ),
        (Kind.JSON, ['{"b":1,"a":[true,null]}', '{ "a" : [ true, null ], "b" : 1.0 }', '{"a":[true,null],"b":1e0}']),
        (Kind.JSON, ["1200", "1.2e3", "12E2", "1200.00", "0.12E+4"]),
        (Kind.JSON, ["0", "-0", "0.0", "-0e5"]),
        (Kind.VECTOR, [[0.1, 1], (0.10000000149011612, 1.0), "[0.1, 1]", "[1e-1,1.0]", struct.pack("<2f", 0.1, 1)]),
        (Kind.VECTOR, [[0.1, 1], array("f", [0.1, 1]), array("d", [0.1, 1])]),
        (Kind.VECTOR, [[0.0, 1], [-0.0, 1], "[-0.0, 1]", [-1e-46, 1], struct.pack("<2f", -0.0, 1)]),
        (Kind.VECTOR, [[], "[]", b""]),
        (Kind.JSON, ['"é"', '"\\u00e9"', '"é"'.encode()]),
    ],
    ids=map(str, itertools.count()),  # some of these have another name in each process
)
def test_what_stores_render_differently_is_equal(kind: Kind, same: list[Any]) -> None:
    assert {canonical(kind, value) for value in same} == {canonical(kind, same[0])}


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        (Kind.TEXT, "Abc", "abc"),
        (Kind.TEXT, "a", "a "),
        (Kind.TEXT, "é", "e\u0301"),
        (Kind.BYTES, b"a", b"a\0"),
        (Kind.TIME, "-01:00:00Z", "01:00:00Z"),
        (Kind.DATETIME, "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000001Z"),
        (Kind.DATE, "0000-00-00Z", "0001-01-01Z"),
        (Kind.JSON, '{"a":"1"}', '{"a":1}'),
        (Kind.JSON, "[1,2]", "[2,1]"),
        (Kind.JSON, '{"a":null}', "{}"),
        (Kind.JSON, "null", '"null"'),
        (Kind.JSON, "9007199254740993", "9007199254740992"),
        (Kind.DOUBLE, 0.1, math.nextafter(0.1, 1)),
        (Kind.VECTOR, [1.0, 2.0], [2.0, 1.0]),
        (Kind.VECTOR, [1.0], [1.0, 0.0]),
        (Kind.VECTOR, [0.1], [0.10000001639127731]),
        (Kind.VECTOR, [0.0], [1e-45]),
        (Kind.VECTOR, [1.0], []),
        (Kind.DATETIME, "2026-01-02T03:04:05Z", "12026-01-02T03:04:05Z"),
        (Kind.TIMESTAMP, "2026-01-02T03:04:05Z", "2026-01-02T03:04:05+01"),
        (Kind.BYTES, b"", b"\0"),
    ],
)
def test_what_looks_alike_and_is_not_the_same_differs(kind: Kind, one: Value, other: Value) -> None:
    assert canonical(kind, one) != canonical(kind, other)


decimals = st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**20), max_value=10**20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from([0.5, 1.5, -2.25]) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.integers(-(2**63), 2**64), st.integers(-(2**63), 2**64))
def test_integers_are_equal_exactly_where_they_are(one: int, other: int) -> None:
    assert (canonical(Kind.INTEGER, one) == canonical(Kind.INTEGER, str(other))) == (one == other)


@given(decimals, decimals)
def test_decimals_are_equal_exactly_where_they_are(one: Decimal, other: Decimal) -> None:
    assert (canonical(Kind.DECIMAL, str(one)) == canonical(Kind.DECIMAL, format(other, "f"))) == (one == other)


@given(decimals, st.integers(0, 10))
def test_zeros_behind_a_decimal_mean_nothing(value: Decimal, zeros: int) -> None:
    text = format(value, "f")
    assert canonical(Kind.DECIMAL, text) == canonical(Kind.DECIMAL, text + "0" * zeros)


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_doubles_are_equal_exactly_where_they_are(one: float, other: float) -> None:
    assert (canonical(Kind.DOUBLE, one) == canonical(Kind.DOUBLE, repr(other))) == (one == other)


@given(st.text(), st.text())
def test_texts_are_equal_exactly_where_they_are(one: str, other: str) -> None:
    assert (canonical(Kind.TEXT, one) == canonical(Kind.TEXT, other)) == (one == other)


@given(st.binary(), st.binary())
def test_bytes_are_equal_exactly_where_they_are(one: bytes, other: bytes) -> None:
    as_text = base64.b64encode(other).decode()
    assert (canonical(Kind.BYTES, one) == canonical(Kind.BYTES, as_text)) == (one == other)


@given(st.datetimes(), st.datetimes())
def test_datetimes_are_equal_exactly_where_they_are(one: dt.datetime, other: dt.datetime) -> None:
    envelope = other.isoformat(timespec="microseconds") + "Z"
    assert (canonical(Kind.DATETIME, str(one)) == canonical(Kind.DATETIME, envelope)) == (one == other)


@given(st.times(), st.times())
def test_times_are_equal_exactly_where_they_are(one: dt.time, other: dt.time) -> None:
    assert (canonical(Kind.TIME, one) == canonical(Kind.TIME, f"{other}Z")) == (one == other)


@given(st.dates(), st.dates())
def test_dates_are_equal_exactly_where_they_are(one: dt.date, other: dt.date) -> None:
    assert (canonical(Kind.DATE, one) == canonical(Kind.DATE, f"{other}Z")) == (one == other)


@given(st.datetimes(), st.datetimes())
def test_timestamps_are_equal_exactly_where_they_are(one: dt.datetime, other: dt.datetime) -> None:
    store = f"{other}+00"
    assert (canonical(Kind.TIMESTAMP, one.replace(tzinfo=dt.UTC)) == canonical(Kind.TIMESTAMP, store)) == (one == other)


@given(st.booleans(), st.booleans())
def test_booleans_are_equal_exactly_where_they_are(one: bool, other: bool) -> None:
    assert (canonical(Kind.BOOLEAN, one) == canonical(Kind.BOOLEAN, str(int(other)))) == (one == other)


vectors = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=3)


@given(vectors, vectors)
def test_vectors_are_equal_exactly_where_they_are(one: list[float], other: list[float]) -> None:
    assert (canonical(Kind.VECTOR, one) == canonical(Kind.VECTOR, json.dumps(other))) == (one == other)


@given(st.lists(st.floats(-3e38, 3e38), max_size=5))
def test_a_vector_is_the_same_however_a_store_gives_it(numbers: list[float]) -> None:
    packed = struct.pack(f"<{len(numbers)}f", *numbers)
    floats = list(struct.unpack(f"<{len(numbers)}f", packed))
    digits = "[" + ",".join(f"{number:.9g}" for number in floats) + "]"
    forms: list[Any] = [floats, tuple(floats), array("f", floats), packed, json.dumps(floats), digits]
    assert {canonical(Kind.VECTOR, form) for form in forms} == {canonical(Kind.VECTOR, numbers)}


@given(vectors.filter(len), st.data())
def test_one_bit_of_a_vector_makes_another(vector: list[float], data: st.DataObject) -> None:
    packed = bytearray(struct.pack(f"<{len(vector)}f", *vector))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    numbers = struct.unpack(f"<{len(vector)}f", packed)
    assume(all(map(math.isfinite, numbers)))
    assert (canonical(Kind.VECTOR, bytes(packed)) == canonical(Kind.VECTOR, vector)) == (list(numbers) == vector)


def same_json(one: Any, other: Any) -> bool:
    """Equality that tells ``true`` from 1, unlike Python's."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(one[name], other[name]) for name in one)
    return bool(one == other)


@given(json_values, json_values)
def test_json_is_equal_exactly_where_it_is(one: Any, other: Any) -> None:
    assert (canonical_json(json.dumps(one)) == canonical_json(json.dumps(other))) == same_json(one, other)


@given(json_values)
def test_spaces_key_order_and_escapes_of_json_mean_nothing(value: Any) -> None:
    plain = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    other = json.dumps(value, sort_keys=True, indent=2)
    assert canonical_json(plain) == canonical_json(other)


@given(json_values)
def test_canonical_json_is_json_of_the_same_value_and_its_own_canonical_form(value: Any) -> None:
    text = canonical_json(json.dumps(value))
    assert same_json(json.loads(text), json.loads(json.dumps(value)))
    assert canonical_json(text) == text


WIDE = [Column(f"{kind}_{number}", kind, "any") for kind in Kind for number in range(2)]
VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.INTEGER: st.integers(-(2**63), 2**64 - 1),
    Kind.DECIMAL: decimals.map(str),
    Kind.DOUBLE: st.floats(allow_nan=False, allow_infinity=False),
    Kind.TEXT: st.text(max_size=8),
    Kind.BYTES: st.binary(max_size=8).map(lambda value: base64.b64encode(value).decode()),
    Kind.BOOLEAN: st.booleans(),
    Kind.DATE: st.dates().map(lambda value: f"{value}Z"),
    Kind.TIME: st.times().map(lambda value: f"{value}Z"),
    Kind.DATETIME: st.datetimes().map(lambda value: value.isoformat() + "Z"),
    Kind.TIMESTAMP: st.datetimes().map(lambda value: value.isoformat() + "Z"),
    Kind.JSON: json_values.map(json.dumps),
    Kind.VECTOR: st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=4),
}
wide_rows = st.fixed_dictionaries({column.name: st.none() | VALUES[column.kind] for column in WIDE})


@given(wide_rows, st.randoms())
def test_the_compiled_hash_is_the_hash_in_whatever_order_columns_come(row: dict[str, Value], random: Any) -> None:
    shuffled = random.sample(WIDE, len(WIDE))
    assert compiled(shuffled)(row) == row_hash(WIDE, row)


@given(wide_rows)
def test_a_column_that_is_null_changes_nothing(row: dict[str, Value]) -> None:
    more = [*WIDE, Column("added", Kind.TEXT, "text")]
    assert row_hash(more, {**row, "added": None}) == row_hash(WIDE, row)
    assert row_hash(more, {**row, "added": ""}) != row_hash(WIDE, row)


@given(wide_rows)
def test_columns_that_are_not_asked_for_change_nothing(row: dict[str, Value]) -> None:
    some = WIDE[::2]
    assert canonical_row(some, row) == canonical_row(some, {column.name: row[column.name] for column in some})


small_rows = st.dictionaries(st.text(max_size=4), st.text(max_size=4))


@given(small_rows, small_rows)
def test_no_two_rows_share_their_bytes_however_names_and_values_are_cut(
    one: dict[str, str], other: dict[str, str]
) -> None:
    assume(one != other)

    def columns(row: dict[str, str]) -> list[Column]:
        return [Column(name, Kind.TEXT, "text") for name in row]

    assert canonical_row(columns(one), one) != canonical_row(columns(other), other)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.INTEGER, "1.5"),
        (Kind.INTEGER, 1.5),
        (Kind.BOOLEAN, 2),
        (Kind.BOOLEAN, "yes"),
        (Kind.DECIMAL, ""),
        (Kind.DECIMAL, "-"),
        (Kind.DECIMAL, "."),
        (Kind.DECIMAL, "--1"),
        (Kind.DECIMAL, "1_0"),
        (Kind.DECIMAL, "１"),
        (Kind.DECIMAL, "NaN"),
        (Kind.DECIMAL, "one"),
        (Kind.DOUBLE, "x"),
        (Kind.TEXT, 1),
        (Kind.TEXT, b"a"),
        (Kind.BYTES, "not base64"),
        (Kind.JSON, "{"),
        (Kind.JSON, "NaN"),
        (Kind.JSON, ""),
        (Kind.JSON, 1),
        *((Kind.VECTOR, bad) for bad in ("1", "{1}", "[1", '["1"]', "[NaN]", 1.0, [1e39], ["1"], b"\0\0\0")),
        *((Kind.VECTOR, [1.0, bad]) for bad in (math.nan, math.inf, -math.inf)),
        (Kind.VECTOR, struct.pack("<2f", math.inf, -math.inf)),
        *((Kind.INTEGER, bad) for bad in ("1_0", " 7", "７", "", math.inf, [1.0])),
        *((Kind.DOUBLE, bad) for bad in ("1_0", "1 ", [1.0])),
        *((Kind.DECIMAL, bad) for bad in ("1e999999999", b"1", math.inf)),
        *((Kind.BYTES, bad) for bad in (3, True, [1.0])),
        *((Kind.DATE, bad) for bad in ("2026-01-02T00:00:01", "2026-01-02 ", "0044-03-15 BC", 7)),
        *((kind, bad) for kind in (Kind.TIME, Kind.DATETIME, Kind.TIMESTAMP) for bad in (7, True, [1.0])),
    ],
)
def test_a_value_of_another_kind_is_refused_and_equals_none_that_is(kind: Kind, value: Any) -> None:
    columns = [Column("c", kind, "any")]
    with pytest.raises(ValueError, match=f"^no {kind}: "):
        canonical(kind, value)
    with pytest.raises(ValueError, match=f"^no {kind}: "):
        compiled(columns)({"c": value})
    assert canonical_row(columns, {"c": value}, lenient=True).startswith(b"1:c!")
    hash_ = row_hash(columns, {"c": value}, lenient=True)
    assert hash_ == compiled(columns, lenient=True)({"c": value})
    assert hash_ != row_hash(columns, {"c": None})


def test_an_absent_column_is_not_taken_for_null() -> None:
    columns = [Column("a", Kind.TEXT, "text")]
    with pytest.raises(KeyError, match="a"):
        canonical_row(columns, {})
    with pytest.raises(KeyError, match="a"):
        compiled(columns)({})


@given(st.integers(0, 2**64 - 1))
def test_the_halves_make_the_hash_again(hash_: int) -> None:
    high, low = halves(hash_)
    assert 0 <= high < 2**32
    assert struct.unpack(">Q", struct.pack(">II", high, low)) == (hash_,)


@given(st.binary())
def test_every_key_has_one_of_the_buckets(key: bytes) -> None:
    assert 0 <= bucket_of(key) < BUCKETS == 1024
