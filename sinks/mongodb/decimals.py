"""Decimals as MongoDB's Decimal128 and back, without a detour by Python's own, which costs ten times as much.

The layout is that of IEEE 754-2008, binary encoding: sign (1), exponent (14, biased by 6176), coefficient (113).
"""

import struct

from bson import Decimal128

DIGITS = 34
"""Decimal digits that a Decimal128 holds exactly."""

_BIAS = 6176
_PAIR = struct.Struct("<QQ")
_LOW = (1 << 64) - 1


def from_text(text: str) -> Decimal128:
    """The number of plain digits ``text``, with all the zeros behind its point.

    Raises `ValueError` where it is none, or has more than `DIGITS`.
    """
    whole, _, fraction = text.removeprefix("-").partition(".")
    digits = whole + fraction
    if not digits.isascii() or not digits.isdigit() or len(fraction) > _BIAS:
        raise ValueError(f"`{text}` is no decimal number")
    coefficient = int(digits)
    if coefficient >= 10**DIGITS:
        raise ValueError(f"`{text}` has more than {DIGITS} digits")
    high = (text[0] == "-") << 63 | (_BIAS - len(fraction)) << 49 | coefficient >> 64
    return Decimal128.from_bid(_PAIR.pack(coefficient & _LOW, high))


def to_text(number: Decimal128) -> str:
    """What `from_text` was given; another's number in the notation of `str`."""
    low, high = _PAIR.unpack(number.bid)
    scale = _BIAS - (high >> 49 & 0x3FFF)
    coefficient = (high & (1 << 49) - 1) << 64 | low
    if high >> 61 & 3 == 3 or not 0 <= scale <= DIGITS or coefficient >= 10**DIGITS:
        return str(number)
    sign, digits = "-" if high >> 63 else "", f"{coefficient:0{scale + 1}d}"
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}" if scale else sign + digits
