"""MySQL's binary JSON, as JSON text.

Format: `sql-common/json_binary.h` of the MySQL server. Doubles are written in their shortest form, opaque dates and
times as MySQL's own `CAST(… AS CHAR)` writes them, decimals too (see `fraction_text`), other opaque values as
``base64:type<number>:<base64>``; keys stand in stored order.
"""

import base64
import struct
from collections.abc import Iterator
from decimal import Decimal
from math import isfinite

from changes import jsontext
from streams.binlog.decimal import read_decimal

_SMALL_OBJECT, _LARGE_OBJECT, _SMALL_ARRAY, _LARGE_ARRAY, _LITERAL = 0, 1, 2, 3, 4
_INT16, _UINT16, _INT32, _UINT32, _INT64, _UINT64, _DOUBLE, _STRING, _OPAQUE = 5, 6, 7, 8, 9, 10, 11, 12, 15

_SCALARS = {
    _INT16: struct.Struct("<h"),
    _UINT16: struct.Struct("<H"),
    _INT32: struct.Struct("<i"),
    _UINT32: struct.Struct("<I"),
    _INT64: struct.Struct("<q"),
    _UINT64: struct.Struct("<Q"),
}
_DOUBLE_FORMAT = struct.Struct("<d")
OBJECTS = {_SMALL_OBJECT, _LARGE_OBJECT}
_LITERALS = {0: "null", 1: "true", 2: "false"}

_TYPE_TIMESTAMP, _TYPE_DATE, _TYPE_TIME, _TYPE_DATETIME, _TYPE_DECIMAL = 7, 10, 11, 12, 246

DEEPEST = 128
"""MySQL itself stores nothing deeper than 100."""
_LONGEST = 8
"""No stored value has text longer than so many times its bytes."""

_quote = jsontext.quote


def json_text(data: bytes) -> str:
    """The JSON text of one stored value; ``null`` for the empty value that an INSERT IGNORE may leave.

    Raises `ValueError` where the bytes are no binary JSON.
    """
    if not data:
        return "null"
    out = Text(len(data))
    try:
        write(data[0], memoryview(data)[1:], out, 0)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"broken binary JSON: {error}") from error
    return out.told()


class Text:
    """What is written so far of a value stored in ``size`` bytes.

    Raises `ValueError` once it has more characters than such a value can have: values that point at the same bytes
    again and again would unfold without end.
    """

    def __init__(self, size: int) -> None:
        self._parts: list[str] = []
        self._room = size * _LONGEST + 64

    def append(self, part: str) -> None:
        self._room -= len(part)
        if self._room < 0:
            raise ValueError("binary JSON repeats itself")
        self._parts.append(part)

    def told(self) -> str:
        return "".join(self._parts)


def double_text(value: float) -> str:
    """A double as JSON: always with a point or an exponent, so that it reads back as a double."""
    if not isfinite(value):
        raise ValueError(f"a JSON double is {value}")
    return repr(value).replace("e+", "e")


def fraction_text(number: str) -> str:
    """One spelling for a number with a point or an exponent, be it a double or a decimal: a SELECT does not tell which.

    From 0.0001 up to 10^16 plain digits stand as they are, the zeros that end a decimal too; beyond, where MySQL
    and Python spell a double differently, it is ``d.ddde<exponent>`` without such zeros. No digit is ever lost.
    """
    if "e" in number or "E" in number:
        return double_text(float(number))
    sign, digits, exponent = Decimal(number).as_tuple()
    kept = "".join(map(str, digits)).rstrip("0")
    magnitude = len(digits) - 1 + int(exponent)
    if not kept or -5 < magnitude < 16:
        return number
    mantissa = f"{kept[0]}.{kept[1:]}" if kept[1:] else kept
    return f"{'-' if sign else ''}{mantissa}e{f'-{-magnitude:02d}' if magnitude < 0 else magnitude}"


def write(type_: int, data: memoryview, out: Text, depth: int) -> None:
    """Append the value of that type which ``data`` begins with. Raises what `json_text` makes `ValueError` of."""
    if depth > DEEPEST:
        raise ValueError("binary JSON is nested too deep")
    if type_ <= _LARGE_ARRAY:
        _write_container(type_, data, out, depth)
    elif type_ == _LITERAL:
        out.append(_literal(data[0]))
    elif type_ in _SCALARS:
        out.append(str(_SCALARS[type_].unpack_from(data)[0]))
    elif type_ == _DOUBLE:
        out.append(double_text(_DOUBLE_FORMAT.unpack_from(data)[0]))
    elif type_ == _STRING:
        length, start = _variable_length(data, 0)
        out.append(_quote(str(_slice(data, start, length), "utf-8")))
    elif type_ == _OPAQUE:
        length, start = _variable_length(data, 1)
        out.append(_opaque(data[0], bytes(_slice(data, start, length))))
    else:
        raise ValueError(f"binary JSON has no type {type_}")


def _write_container(type_: int, data: memoryview, out: Text, depth: int) -> None:
    is_object = type_ in OBJECTS
    out.append("{" if is_object else "[")
    for index, (name, inner, body) in enumerate(entries(type_, data)):
        if index:
            out.append(",")
        if is_object:
            out.append(f"{_quote(name)}:")
        write(inner, body, out, depth + 1)
    out.append("}" if is_object else "]")


def entries(type_: int, data: memoryview) -> Iterator[tuple[str, int, memoryview]]:
    """What a container holds, in stored order: name, empty in an array; type; and the bytes that it begins with.

    Raises what `json_text` makes `ValueError` of; also for what is no container.
    """
    if type_ > _LARGE_ARRAY:
        raise ValueError(f"a JSON value of type {type_} holds no others")
    large, is_object = type_ in {_LARGE_OBJECT, _LARGE_ARRAY}, type_ in OBJECTS
    width = 4 if large else 2
    number = struct.Struct("<I" if large else "<H")
    count, size = number.unpack_from(data, 0)[0], number.unpack_from(data, width)[0]
    if size > len(data) or count > size:
        raise ValueError("a JSON container is larger than its value")
    key_entries = 2 * width
    value_entries = key_entries + (count * (width + 2) if is_object else 0)
    inline = {_LITERAL, _INT16, _UINT16} | ({_INT32, _UINT32} if large else set())
    name = ""
    for index in range(count):
        if is_object:
            entry = key_entries + index * (width + 2)
            start = number.unpack_from(data, entry)[0]
            length = struct.unpack_from("<H", data, entry + width)[0]
            name = str(_slice(data, start, length), "utf-8")
        entry = value_entries + index * (width + 1)
        value_type = data[entry]
        if value_type in inline:
            yield name, value_type, data[entry + 1 :]
        else:
            offset = number.unpack_from(data, entry + 1)[0]
            if offset <= entry - width or offset >= size:
                raise ValueError("a JSON value lies outside its container")
            yield name, value_type, data[offset:size]


def _slice(data: memoryview, start: int, length: int) -> memoryview:
    if start + length > len(data):
        raise ValueError("a JSON string runs beyond its value")
    return data[start : start + length]


def _literal(code: int) -> str:
    text = _LITERALS.get(code)
    if text is None:
        raise ValueError(f"binary JSON has no literal {code}")
    return text


def _variable_length(data: memoryview, start: int) -> tuple[int, int]:
    length = shift = 0
    for index in range(start, start + 5):
        byte = data[index]
        length |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return length, index + 1
        shift += 7
    raise ValueError("a JSON length has more than five bytes")


def _opaque(type_: int, data: bytes) -> str:
    if type_ == _TYPE_DECIMAL:
        text = read_decimal(data[2:], data[0], data[1])
        return fraction_text(text) if "." in text else text
    if type_ in {_TYPE_DATE, _TYPE_DATETIME, _TYPE_TIMESTAMP, _TYPE_TIME}:
        return f'"{_packed_time(type_, struct.unpack("<q", data)[0])}"'
    return _quote(f"base64:type{type_}:{base64.b64encode(data).decode()}")


def _packed_time(type_: int, packed: int) -> str:
    sign, packed = ("-", -packed) if packed < 0 else ("", packed)
    whole, micros = packed >> 24, packed & 0xFFFFFF
    if type_ == _TYPE_TIME:
        return f"{sign}{whole >> 12 & 0x3FF:02d}:{whole >> 6 & 63:02d}:{whole & 63:02d}.{micros:06d}"
    days, clock = whole >> 17, whole & 0x1FFFF
    months = days >> 5
    date = f"{months // 13:04d}-{months % 13:02d}-{days & 31:02d}"
    if type_ == _TYPE_DATE:
        return date
    return f"{date} {clock >> 12:02d}:{clock >> 6 & 63:02d}:{clock & 63:02d}.{micros:06d}"


def compact(text: str) -> str:
    """JSON text from a SELECT in the very bytes that `json_text` gives for the same stored value."""
    plain = jsontext.rewritten(text)
    return jsontext.write(jsontext.parse(text, double=fraction_text)) if plain is None else plain
