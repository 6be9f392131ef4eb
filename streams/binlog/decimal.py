"""MySQL's packed DECIMAL (`strings/decimal.cc`, `decimal2bin`)."""

_BYTES_OF_DIGITS = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
MOST_DIGITS = 65


def decimal_size(precision: int, scale: int) -> int:
    """How many bytes ``DECIMAL(precision, scale)`` takes. Raises `ValueError` where there is no such type."""
    if not 0 <= scale <= precision <= MOST_DIGITS:
        raise ValueError(f"there is no DECIMAL({precision},{scale})")
    whole, fraction = precision - scale, scale
    return whole // 9 * 4 + _BYTES_OF_DIGITS[whole % 9] + fraction // 9 * 4 + _BYTES_OF_DIGITS[fraction % 9]


def read_decimal(data: bytes, precision: int, scale: int) -> str:
    """The number in plain digits with exactly ``scale`` of them after the point.

    Nine digits stand in four bytes, fewer in fewer, most significant group first; the sign is the flipped top bit,
    and a negative number has every bit flipped.
    """
    if not data or len(data) < decimal_size(precision, scale):
        raise ValueError("a decimal is cut off")
    negative = not data[0] & 0x80
    raw = bytes([data[0] ^ 0x80]) + data[1:]
    if negative:
        raw = bytes(byte ^ 0xFF for byte in raw)
    whole_digits = precision - scale
    groups = [(whole_digits % 9, 0), *[(9, 0)] * (whole_digits // 9), *[(9, 1)] * (scale // 9), (scale % 9, 1)]
    parts: tuple[list[str], list[str]] = ([], [])
    at = 0
    for digits, side in groups:
        size = _BYTES_OF_DIGITS[digits]
        if size:
            parts[side].append(f"{int.from_bytes(raw[at : at + size]):0{digits}d}")
            at += size
    whole = "".join(parts[0]).lstrip("0") or "0"
    text = f"{whole}.{''.join(parts[1])}" if scale else whole
    return f"-{text}" if negative else text
