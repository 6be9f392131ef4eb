"""Column values, from a row image's bytes to the envelope."""

import base64
import datetime as dt
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams_encoders import packed_datetime, packed_time

from streams.binlog import values
from streams.binlog.charsets import Charset

UTF8 = Charset("utf8mb4", 4)


def read_all(reader: values.Reader, data: bytes) -> object:
    """The value, where the reader takes exactly ``data`` from among other bytes."""
    value, at = reader(b"\xaa" + data + b"\xbb" * 8, 1)
    assert at == 1 + len(data)
    return value


@pytest.mark.parametrize(
    ("type_", "unsigned", "stored", "value"),
    [
        (values.TINY, False, "80", -128),
        (values.TINY, True, "ff", 255),
        (values.SHORT, False, "0080", -32768),
        (values.SHORT, True, "ffff", 65535),
        (values.INT24, False, "000080", -8388608),
        (values.INT24, False, "ffff7f", 8388607),
        (values.INT24, True, "ffffff", 16777215),
        (values.LONG, False, "00000080", -2147483648),
        (values.LONG, True, "ffffffff", 4294967295),
        (values.LONGLONG, False, "0000000000000080", -(2**63)),
        (values.LONGLONG, True, "ffffffffffffffff", 2**64 - 1),
    ],
)
def test_integers_reach_their_extremes(type_: int, unsigned: bool, stored: str, value: int) -> None:
    assert read_all(values.integer(type_, unsigned), bytes.fromhex(stored)) == value


def test_a_float_is_the_double_of_the_same_value() -> None:
    assert read_all(values.floating(4), struct.pack("<f", 0.1)) == 0.10000000149011612
    assert read_all(values.floating(8), struct.pack("<d", 0.1)) == 0.1


@pytest.mark.parametrize(
    ("bits", "stored", "value"),
    [
        (1, "00", False),
        (1, "01", True),
        (8, "81", "gQ=="),
        (10, "0201", "AQI="),
        (64, "8000000000000001", base64.b64encode(bytes.fromhex("0100000000000080")).decode()),
    ],
)
def test_bits_are_a_boolean_or_base64_least_significant_byte_first(bits: int, stored: str, value: object) -> None:
    assert read_all(values.bit(bits), bytes.fromhex(stored)) == value


@pytest.mark.parametrize(("stored", "value"), [(0, 0), (1, 1901), (126, 2026), (255, 2155)])
def test_a_year_counts_from_1900_and_zero_stays_zero(stored: int, value: int) -> None:
    assert read_all(values.year(), bytes([stored])) == value


def test_an_enum_is_its_member_and_the_invalid_one_is_empty() -> None:
    reader = values.enum(1, ("junior", "高级"))
    assert [read_all(reader, bytes([number])) for number in range(3)] == ["", "junior", "高级"]


def test_an_enum_of_many_members_takes_two_bytes() -> None:
    members = tuple(f"m{number}" for number in range(300))
    assert read_all(values.enum(2, members), (300).to_bytes(2, "little")) == "m299"


def test_an_enum_beyond_its_members_is_refused() -> None:
    with pytest.raises(IndexError):
        read_all(values.enum(1, ("a",)), b"\2")


def test_a_set_is_its_members_in_declared_order_and_may_be_empty() -> None:
    reader = values.set_(1, ("a", "b", "c"))
    assert [read_all(reader, bytes([bits])) for bits in (0, 1, 5, 7)] == ["", "a", "a,c", "a,b,c"]


def test_a_set_reaches_64_members() -> None:
    reader = values.set_(8, tuple(f"m{number}" for number in range(64)))
    assert read_all(reader, (1 << 63 | 1).to_bytes(8, "little")) == "m0,m63"


def test_binary_gets_its_zeros_back_and_varbinary_never_had_them() -> None:
    assert read_all(values.blob(1, pad_to=5), b"\2ab") == base64.b64encode(b"ab\0\0\0").decode()
    assert read_all(values.blob(1, pad_to=2), b"\0") == base64.b64encode(b"\0\0").decode()
    assert read_all(values.blob(1), b"\2ab") == base64.b64encode(b"ab").decode()


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_texts_stand_behind_their_length(width: int) -> None:
    raw = "Zürich 北京 😀".encode()
    assert read_all(values.text(width, UTF8), len(raw).to_bytes(width, "little") + raw) == "Zürich 北京 😀"


@pytest.mark.parametrize("reader", [values.text(2, UTF8), values.blob(2), values.json(4)])
def test_a_value_that_runs_beyond_its_event_is_refused(reader: values.Reader) -> None:
    with pytest.raises(ValueError, match="runs beyond its event"):
        reader(b"\xff\x00\x00\x00abc", 0)


def test_json_stands_behind_its_length() -> None:
    assert read_all(values.json(4), b"\3\0\0\0\5\xff\xff") == "-1"


@pytest.mark.parametrize(
    ("day", "text"), [((2026, 2, 28), "2026-02-28Z"), ((0, 0, 0), "0000-00-00Z"), ((2026, 0, 0), "2026-00-00Z")]
)
def test_dates_that_no_calendar_has_are_written_as_they_stand(day: tuple[int, int, int], text: str) -> None:
    year, month, of_month = day
    assert read_all(values.date(), (year << 9 | month << 5 | of_month).to_bytes(3, "little")) == text


@given(st.dates())
def test_every_date_comes_back(day: dt.date) -> None:
    assert read_all(values.date(), (day.year << 9 | day.month << 5 | day.day).to_bytes(3, "little")) == f"{day}Z"


def fraction(micros: int, digits: int) -> str:
    return f".{micros:06d}"[: digits + 1] if digits else ""


digits_of_second = st.integers(0, 6)


@st.composite
def fractions(draw: st.DrawFn) -> tuple[int, int]:
    """(microseconds, digits), with no more digits in the first than the second says."""
    digits = draw(digits_of_second)
    return draw(st.integers(0, 10**digits - 1)) * 10 ** (6 - digits), digits


@given(st.booleans(), st.integers(0, 838), st.integers(0, 59), st.integers(0, 59), fractions())
def test_every_time_comes_back_with_its_sign_and_digits(
    negative: bool, hour: int, minute: int, second: int, part: tuple[int, int]
) -> None:
    micros, digits = part
    sign = "-" if negative and (hour or minute or second or micros) else ""
    stored = packed_time(negative, hour, minute, second, micros, digits)
    text = f"{sign}{hour:02d}:{minute:02d}:{second:02d}{fraction(micros, digits)}Z"
    assert read_all(values.time(digits), stored) == text


@pytest.mark.parametrize(
    ("digits", "stored", "text"),
    [
        (0, "7ffffe", "-00:00:02Z"),
        (2, "7fffffce", "-00:00:00.50Z"),
        (2, "7ffffece", "-00:00:01.50Z"),
        (6, "7fffffffffff", "-00:00:00.000001Z"),
        (6, "80000000000a", "00:00:00.000010Z"),
        (0, "b46efb", "838:59:59Z"),
        (0, "4b9105", "-838:59:59Z"),
    ],
)
def test_known_times_are_read_as_mysql_means_them(digits: int, stored: str, text: str) -> None:
    """The first five are the examples in MySQL's sql-common/my_time.cc."""
    assert read_all(values.time(digits), bytes.fromhex(stored)) == text


@given(st.datetimes(), fractions())
def test_every_datetime_comes_back(moment: dt.datetime, part: tuple[int, int]) -> None:
    micros, digits = part
    parts = (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    text = f"{moment.replace(microsecond=0).isoformat()}{fraction(micros, digits)}Z"
    assert read_all(values.datetime(digits), packed_datetime(parts, micros, digits)) == text


def test_a_datetime_that_no_calendar_has_is_written_as_it_stands() -> None:
    assert read_all(values.datetime(3), packed_datetime((0, 0, 0, 0, 0, 0), 0, 3)) == "0000-00-00T00:00:00.000Z"
    assert read_all(values.datetime(0), packed_datetime((2026, 0, 0, 1, 2, 3), 0, 0)) == "2026-00-00T01:02:03Z"


@given(st.integers(1, 2**32 - 1), fractions())
def test_every_timestamp_comes_back_in_utc(seconds: int, part: tuple[int, int]) -> None:
    micros, digits = part
    stored = seconds.to_bytes(4) + (micros // 10 ** (6 - (digits + 1) // 2 * 2)).to_bytes((digits + 1) // 2)
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC).replace(tzinfo=None)
    assert read_all(values.timestamp(digits), stored) == f"{moment.isoformat()}{fraction(micros, digits)}Z"


def test_a_timestamp_of_zero_is_mysqls_zero_date() -> None:
    assert read_all(values.timestamp(0), bytes(4)) == "0000-00-00T00:00:00Z"
    assert read_all(values.timestamp(3), bytes(6)) == "0000-00-00T00:00:00.000Z"


def test_a_decimal_takes_the_bytes_of_its_precision() -> None:
    assert read_all(values.decimal(14, 4), bytes.fromhex("810dfb38d204d2")) == "1234567890.1234"
