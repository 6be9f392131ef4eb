"""Columns of every type with the values at their edges, and for each value the smallest different ones."""

import base64
import math
import struct
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Context, Decimal

from changes.canonical import Value
from changes.schema import Column, Kind, kind_of

_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_WIDE = Context(prec=80)


def packed(*numbers: float) -> str:
    """What the envelope holds of binary columns: base64."""
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def _integers() -> Iterator[tuple[str, list[Value]]]:
    for word, bits in _BITS.items():
        half = 1 << (bits - 1)
        yield word, [0, 1, -1, half - 1, -half]
        yield f"{word} unsigned", [0, 2 * half - 1]
    yield "tinyint(1)", [0, 1]
    yield "year", [0, 1901, 2155]


_TEXTS: list[Value] = [
    "",
    " ",
    "a",
    "a ",
    "Abc",
    "null",
    "\u200b",
    "e\u0301",
    "数据🙂",
    "\"'\\ %s $1 {id}\n\t",
    "x" * 5000,
]
_BYTES: list[Value] = [base64.b64encode(raw).decode() for raw in (b"", b"\0", b"\0\xff\0", b"text", bytes(range(256)))]
_POINT = base64.b64encode(struct.pack("<IBIdd", 0, 1, 1, 1.5, -2.0)).decode()
_JSON: list[Value] = [
    "null",
    "true",
    "0",
    "-0.5",
    "12345678901234567890.5",
    '""',
    '"数据🙂"',
    "[]",
    "{}",
    "[1, 2, [3]]",
    '{"b": [1, 1.50, true, null, "é\\n"], "a": {"": 9007199254740993}}',
]

VALUES: list[tuple[str, list[Value]]] = [
    *_integers(),
    ("decimal(10,2)", ["0.00", "0.10", "-0.01", "99999999.99"]),
    ("decimal(65,30)", ["-12345678901234567890123456789012345.000000000000000000000000000001", "1." + "0" * 30]),
    ("decimal(20,0)", ["0", "-99999999999999999999"]),
    ("float", [0.0, -0.0, 0.30000001192092896, -3.4028234663852886e38, 1.401298464324817e-45]),
    ("double", [0.0, -0.0, 0.1, 1e22, -1.7976931348623157e308, 5e-324]),
    ("bit(1)", [True, False]),
    ("bit(12)", ["D/8=", "AAA="]),
    ("bit(64)", ["//////////8="]),
    ("date", ["1000-01-01", "2024-02-29", "9999-12-31"]),
    ("time", ["00:00:00", "-00:00:01", "838:59:59", "-838:59:59"]),
    ("time(6)", ["00:00:00.000001", "-00:00:00.500000", "23:59:59.999999"]),
    ("datetime", ["1000-01-01T00:00:00", "2026-12-31T23:59:59"]),
    ("datetime(3)", ["2026-01-02T03:04:05.120"]),
    ("datetime(6)", ["9999-12-31T23:59:59.999999", "2026-01-02T03:04:05.000000"]),
    ("timestamp", ["1970-01-01T00:00:01Z", "2038-01-19T03:14:07Z"]),
    ("timestamp(6)", ["2026-03-29T01:30:00.123400Z"]),
    *((f"{word}({length})", _TEXTS[:4]) for word, length in (("char", 4), ("varchar", 9))),
    *((word, _TEXTS) for word in ("tinytext", "text", "mediumtext", "longtext")),
    ("enum('','a','b')", ["", "a", "b"]),
    ("set('x','y')", ["", "x", "x,y"]),
    ("binary(3)", ["AAAA", "YQAA"]),
    ("varbinary(16)", _BYTES[:4]),
    *((word, _BYTES) for word in ("tinyblob", "blob", "mediumblob", "longblob")),
    *(
        (word, [_POINT])
        for word in (
            *("geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon"),
            *("geomcollection", "geometrycollection"),
        )
    ),
    ("json", _JSON),
    ("vector(3)", [packed(1, -0.0, 1e-45)]),
]
_VECTORS: list[Value] = [[0.1, -2.5, 0.0], [-0.0, 1e-45, -3.4028234663852886e38], [1, 1, 1]]

COLUMNS: dict[Column, list[Value]] = {
    Column(f"c{number}", kind_of(type_), type_): values for number, (type_, values) in enumerate(VALUES)
} | {Column("made", Kind.VECTOR, "vector(3)"): _VECTORS}
"""Columns of all types, an enricher's vector among them, and the values that are tried in each."""


def neighbours(column: Column, value: Value) -> list[Value]:
    """The smallest different values that the column can hold, NULL among them; of NULL, what looks most like it."""
    if value is None:
        return [COLUMNS[column][0]]
    return [None, *_NEIGHBOURS[column.kind](column, value)]


def _integer(column: Column, value: Value) -> Iterator[Value]:
    assert isinstance(value, int)
    if column.base_type == "year":
        low, high = 0, 2155
    else:
        bits = _BITS[column.base_type]
        low, high = (0, 2**bits - 1) if column.unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    yield from (near for near in (value - 1, value + 1) if low <= near <= high)


def _boolean(column: Column, value: Value) -> Iterator[Value]:
    yield not value


def _decimal(column: Column, value: Value) -> Iterator[Value]:
    precision, scale = column.arguments
    unit, number = Decimal(1).scaleb(-scale), Decimal(str(value))
    near = (_WIDE.add(number, unit), _WIDE.subtract(number, unit), _WIDE.minus(number))
    yield from (format(one, "f") for one in near if one != number and len(one.as_tuple().digits) <= precision)


def _double(column: Column, value: Value) -> Iterator[Value]:
    assert isinstance(value, float)
    near = (math.nextafter(value, math.inf), math.nextafter(value, -math.inf), -value)
    yield from (one for one in near if one != value and math.isfinite(one))


def _text(column: Column, value: Value) -> Iterator[Value]:
    assert isinstance(value, str)
    yield value + " "
    yield value + "\u200b"
    if value:
        yield value[:-1]
        yield value[:-1] + chr(ord(value[-1]) + 1)
        yield chr(ord(value[0]) ^ 1) + value[1:]
    if value.swapcase() != value:
        yield value.swapcase()


def _bytes(column: Column, value: Value) -> Iterator[Value]:
    raw = base64.b64decode(str(value))
    near = [raw + b"\0"]
    if raw:
        near += [raw[:-1], raw[:-1] + bytes([raw[-1] ^ 1]), bytes([raw[0] ^ 0x80]) + raw[1:]]
    yield from (base64.b64encode(one).decode() for one in near)


def _date(column: Column, value: Value) -> Iterator[Value]:
    day = date.fromisoformat(str(value))
    yield (day - timedelta(1) if day == date.max else day + timedelta(1)).isoformat()


def _digits(column: Column) -> int:
    """Digits behind the second."""
    return column.arguments[0] if column.arguments else 0


def _time(column: Column, value: Value) -> Iterator[Value]:
    text, unit = str(value), 10 ** -_digits(column)
    yield text.removeprefix("-") if text.startswith("-") else f"-{text}" if text.strip("0:.") else "00:00:00.000001"
    shown = Decimal(text[-2:] if unit == 1 else text[-9:])
    near = shown - Decimal(str(unit)) if shown else shown + Decimal(str(unit))
    width = 2 if unit == 1 else 9
    yield text[:-width] + (f"{near:02f}" if unit == 1 else f"{near:09.6f}")


def _moment(column: Column, value: Value) -> Iterator[Value]:
    text = str(value)
    zone = "Z" if text.endswith("Z") else ""
    moment, digits = datetime.fromisoformat(text.removesuffix("Z")), _digits(column)
    unit = timedelta(microseconds=10 ** (6 - digits))
    near = moment - unit if moment.year == 9999 else moment + unit
    yield near.isoformat(timespec="microseconds") + zone


def _json(column: Column, value: Value) -> Iterator[Value]:
    text = str(value)
    yield f"[{text}]"
    for old, new in (
        ("null", "false"),
        ("true", "false"),
        ("1", "2"),
        ("0", "1"),
        ("1.50", '"1.50"'),
        ("9007199254740993", "9007199254740992"),
        ("890.5", "890.25"),
        ('"b"', '"c"'),
        ("[3]", "[3, null]"),
        ("2, [3]", "[3], 2"),
        ('""', '" "'),
        ("[]", "{}"),
        ("{}", '{"": null}'),
        ("数", "數"),
    ):
        if old in text:
            yield text.replace(old, new, 1)


def _vector(column: Column, value: Value) -> Iterator[Value]:
    assert isinstance(value, list)
    numbers = [struct.unpack("<f", struct.pack("<f", number))[0] for number in value]
    for place, number in enumerate(numbers):
        if number:
            (bits,) = struct.unpack("<I", struct.pack("<f", number))
            (near,) = struct.unpack("<f", struct.pack("<I", bits ^ 1))
        else:
            near = 1.401298464324817e-45
        yield [*numbers[:place], near, *numbers[place + 1 :]]
    if numbers[0] != numbers[1]:
        yield [numbers[1], numbers[0], *numbers[2:]]


_NEIGHBOURS: dict[Kind, Callable[[Column, Value], Iterator[Value]]] = {
    Kind.INTEGER: _integer,
    Kind.BOOLEAN: _boolean,
    Kind.DECIMAL: _decimal,
    Kind.DOUBLE: _double,
    Kind.TEXT: _text,
    Kind.BYTES: _bytes,
    Kind.DATE: _date,
    Kind.TIME: _time,
    Kind.DATETIME: _moment,
    Kind.TIMESTAMP: _moment,
    Kind.JSON: _json,
    Kind.VECTOR: _vector,
}
