"""MySQL's binary JSON as text, and a SELECT's text in the same bytes."""

import base64
import json
import math
import struct
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams_encoders import Opaque, binary_json, packed_decimal

from streams.binlog.jsonb import compact, json_text

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=200),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=12,
)


def written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("e+", "e")


@given(values.filter(lambda value: "e+" not in json.dumps(value, ensure_ascii=False)), st.booleans())
def test_what_mysql_stores_in_small_or_large_form_comes_back(value: Any, large: bool) -> None:
    assert json_text(binary_json(value, large=large)) == written(value)


@given(values)
def test_the_text_that_a_select_gives_becomes_the_same_bytes(value: Any) -> None:
    """MySQL's SELECT puts a space behind ``,`` and ``:``."""
    selected = json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
    assert compact(selected) == json_text(binary_json(value))


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        ("", "null"),
        ("0400", "null"),
        ("0401", "true"),
        ("0402", "false"),
        ("05ffff", "-1"),
        ("06ffff", "65535"),
        ("0700000080", "-2147483648"),
        ("08ffffffff", "4294967295"),
        ("090000000000000080", "-9223372036854775808"),
        ("0affffffffffffffff", "18446744073709551615"),
        ("0b000000000000f03f", "1.0"),
        ("0b0000000000000080", "-0.0"),
        ("0c0161", '"a"'),
        ("0c02c3a9", '"é"'),
        ("0c00", '""'),
        ("0000000400", "{}"),
        ("0200000400", "[]"),
        # {"a": 1}: one pair, 12 bytes; the key at 11, one byte long; an inlined int16
        ("0001000c000b00010005010061", '{"a":1}'),
        # [1, "x"]: two values, 12 bytes; an inlined int16, a string at 10
        ("0202000c000501000c0a000178", '[1,"x"]'),
        # the same array in large form: 20 bytes, the string at 18
        ("030200000014000000050100" + "00000c120000000178", '[1,"x"]'),
    ],
)
def test_hand_made_bytes_are_read(stored: str, text: str) -> None:
    assert json_text(bytes.fromhex(stored)) == text


def packed(whole: int, micros: int, *, negative: bool = False) -> bytes:
    number = whole << 24 | micros
    return struct.pack("<q", -number if negative else number)


DAY = ((2026 * 13 + 1) << 5 | 2) << 17
CLOCK = 3 << 12 | 4 << 6 | 5


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Opaque.of(10, packed(DAY, 0)), '"2026-01-02"'),
        (Opaque.of(12, packed(DAY | CLOCK, 6)), '"2026-01-02 03:04:05.000006"'),
        (Opaque.of(7, packed(DAY | CLOCK, 0)), '"2026-01-02 03:04:05.000000"'),
        (Opaque.of(11, packed(CLOCK, 500_000)), '"03:04:05.500000"'),
        (Opaque.of(11, packed(CLOCK, 500_000, negative=True)), '"-03:04:05.500000"'),
        (Opaque.of(246, bytes([14, 4]) + packed_decimal(Decimal("-1234567890.1200"), 14, 4)), "-1234567890.1200"),
        (Opaque.of(246, bytes([3, 0]) + packed_decimal(Decimal(100), 3, 0)), "100"),
        (Opaque.of(252, b"\x00\xff"), '"base64:type252:AP8="'),
        (Opaque.of(15, bytes(200)), f'"base64:type15:{base64.b64encode(bytes(200)).decode()}"'),
    ],
)
def test_values_of_types_that_json_lacks_are_written_as_mysql_casts_them(value: Opaque, text: str) -> None:
    assert json_text(binary_json(value)) == text
    assert json_text(binary_json([value])) == f"[{text}]"
    assert compact(f"[{text}]") == f"[{text}]"


decimals = st.tuples(st.integers(-(10**40), 10**40), st.integers(1, 30))


@given(decimals)
def test_a_decimal_is_the_same_bytes_from_the_binlog_and_from_a_select(parts: tuple[int, int]) -> None:
    digits, scale = parts
    sign = "-" if digits < 0 else ""
    plain = str(abs(digits)).rjust(scale + 1, "0")
    text = f"{sign}{plain[:-scale]}.{plain[-scale:]}"
    stored = binary_json([Opaque.of(246, bytes([65, scale]) + packed_decimal(Decimal(text), 65, scale))])
    assert json_text(stored) == compact(f"[{text}]")
    assert Decimal(json.loads(json_text(stored), parse_float=str)[0]) == Decimal(text)


@pytest.mark.parametrize(
    ("selected", "stored"),
    [
        ("0.00001", 1e-05),
        ("1e-5", 1e-05),
        ("1e15", 1e15),
        ("1e16", 1e16),
        ("1.5e300", 1.5e300),
        ("123456789012345680.0", 123456789012345680.0),
        ("-0.0", -0.0),
        ("5e-324", 5e-324),
        ("1.7976931348623157e308", 1.7976931348623157e308),
    ],
)
def test_a_double_is_the_same_bytes_however_the_server_spells_it(selected: str, stored: float) -> None:
    assert compact(selected) == json_text(binary_json(stored))
    assert math.copysign(1, float(compact(selected))) == math.copysign(1, stored)


@pytest.mark.parametrize(
    "stored",
    [
        "01",
        "0d00",
        "0403",
        "05ff",
        "0c05" + "61",
        "0c8080808080" + "01",
        "0cff",
        "00ffffffff",
        "0001000c00ff00010005010061",
        "0202000c000501000cff000178",
        "0201000700" + "020000",
        "0f",
        "0ff605",
        "0f0a03000000",
        "0c01ff",
    ],
)
def test_broken_bytes_are_refused(stored: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_text(bytes.fromhex(stored))


def test_nesting_without_end_is_refused() -> None:
    body = b"\0\0\4\0"
    for _ in range(3000):
        body = struct.pack("<HHBH", 1, min(len(body) + 7, 0xFFFF), 2, 7) + body
    with pytest.raises(ValueError, match="nested too deep"):
        json_text(b"\2" + body)
