"""Integers of variable length: those of MySQL's protocol, and those of its serialization library."""


def lenenc(data: bytes, at: int) -> tuple[int, int]:
    """A length-encoded integer of MySQL's protocol, and the offset behind it."""
    first = data[at] if at < len(data) else 0xFF
    if first < 0xFB:
        return first, at + 1
    size = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(first)
    if size is None or at + size >= len(data):
        raise ValueError("a length-encoded integer is cut off, or starts with 0xFB or 0xFF")
    return int.from_bytes(data[at + 1 : at + 1 + size], "little"), at + 1 + size


def varlen(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned integer of MySQL's serialization library, and the offset behind it.

    As many 1 bits as the first byte ends with, so many bytes follow; behind the 0 bit that ends them stands the number,
    or, behind eight of them, in the eight bytes that follow (``libs/mysql/serialization/readme.md``).
    """
    if at >= len(data):
        raise ValueError("an integer of variable length is cut off")
    ones = (~data[at] & data[at] + 1).bit_length() - 1
    end = at + 1 + ones
    if end > len(data):
        raise ValueError("an integer of variable length is cut off")
    if ones == 8:
        return int.from_bytes(data[at + 1 : end], "little"), end
    return int.from_bytes(data[at:end], "little") >> ones + 1, end


def signed_varlen(data: bytes, at: int) -> tuple[int, int]:
    """The same for signed integers, whose lowest bit is the sign."""
    number, end = varlen(data, at)
    return (number >> 1) ^ -(number & 1), end
