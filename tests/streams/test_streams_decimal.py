"""MySQL's packed DECIMAL."""

from decimal import Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams_encoders import packed_decimal

from streams.binlog.decimal import decimal_size, read_decimal

EXACT = Context(prec=80)


@st.composite
def numbers(draw: st.DrawFn) -> tuple[Decimal, int, int]:
    precision = draw(st.integers(1, 65))
    scale = draw(st.integers(0, min(30, precision)))
    digits = draw(st.integers(-(10**precision) + 1, 10**precision - 1))
    return EXACT.scaleb(Decimal(digits), -scale), precision, scale


@given(numbers())
def test_every_number_is_read_back_with_all_its_digits(number: tuple[Decimal, int, int]) -> None:
    value, precision, scale = number
    packed = packed_decimal(value, precision, scale)
    assert len(packed) == decimal_size(precision, scale)
    assert read_decimal(packed, precision, scale) == format(value if value else value.copy_abs(), f".{scale}f")


@pytest.mark.parametrize(
    ("packed", "precision", "scale", "text"),
    [
        # the example in MySQL's strings/decimal.cc: 1234567890.1234 and its negative
        ("810dfb38d204d2", 14, 4, "1234567890.1234"),
        ("7ef204c72dfb2d", 14, 4, "-1234567890.1234"),
        ("80", 1, 0, "0"),
        ("8000", 3, 3, "0.000"),
        ("8001", 3, 3, "0.001"),
        ("7ffe", 3, 3, "-0.001"),
        ("80000001", 9, 0, "1"),
    ],
)
def test_known_bytes_are_read_as_mysql_means_them(packed: str, precision: int, scale: int, text: str) -> None:
    assert read_decimal(bytes.fromhex(packed), precision, scale) == text


@pytest.mark.parametrize(
    ("precision", "scale", "size"), [(1, 0, 1), (9, 0, 4), (10, 0, 5), (18, 9, 8), (65, 30, 30), (14, 4, 7)]
)
def test_the_size_is_mysqls(precision: int, scale: int, size: int) -> None:
    assert decimal_size(precision, scale) == size
