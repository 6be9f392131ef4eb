"""From a recorded stream to a broken one: pure, and the same for the same random numbers."""

import random
from collections.abc import Callable

import zstandard

from changes.errors import Misconfigured
from streams.binlog import events

_BYTES = (0, 1, 2, 0x7F, 0x80, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF)
_TYPES = (*events.ROWS, events.GTID, events.GTID_TAGGED, events.QUERY, events.XID, events.TABLE_MAP, events.PAYLOAD)
_LONGEST = 24
"""Events of a stream that is tried: short ones are tried more often in the same time."""
_PIECE = 0xFFFFFF


def stream(rng: random.Random, recorded: list[bytes]) -> list[bytes]:
    """Events of ``recorded`` from some place on, one or more of them broken."""
    begun = rng.randrange(max(1, len(recorded) - _LONGEST // 2))
    made = recorded[begun : begun + rng.randrange(2, _LONGEST)]
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        rng.choice(_OF_STREAMS)(rng, made, recorded)
    return made


def sent(rng: random.Random, made: list[bytes]) -> list[bytes]:
    """The events as packets, cut anywhere; now and then the packets are broken too."""
    data = bytearray(b"".join(map(_packets, made)))
    if rng.random() < 0.05 and data:
        _change(rng, data)
    size = rng.choice((1 << 20, 1 << 20, 4096, 997, 13))
    return [bytes(data[at : at + size]) for at in range(0, len(data), size)]


def _packets(event: bytes) -> bytes:
    body = b"\0" + event
    pieces = [body[at : at + _PIECE] for at in range(0, len(body) + 1, _PIECE)]
    return b"".join(len(piece).to_bytes(3, "little") + b"\0" + piece for piece in pieces)


def _break(rng: random.Random, made: list[bytes], _: list[bytes]) -> None:
    """One event's bytes; its header mostly says how many there are."""
    if made:
        at = rng.randrange(len(made))
        made[at] = _broken(rng, made[at])


def _broken(rng: random.Random, event: bytes) -> bytes:
    if event[4:5] == bytes([events.PAYLOAD]) and rng.random() < 0.8:
        return _inside(rng, event)
    data = bytearray(event)
    for _ in range(rng.choice((1, 1, 2, 4))):
        _change(rng, data, events.HEADER if rng.random() < 0.95 else 0)
    return _fitted(data) if rng.random() < 0.95 else bytes(data)


def _inside(rng: random.Random, event: bytes) -> bytes:
    """A compressed transaction with broken events in it, compressed again."""
    try:
        whole = list(events.payload(event))
    except (ValueError, Misconfigured):  # it was broken before, or is of a method that nobody knows
        return event
    inner = list(whole)
    for _ in range(rng.choice((1, 1, 2))):
        rng.choice(_OF_STREAMS)(rng, inner, whole or [event])
    body = zstandard.ZstdCompressor().compress(b"".join(inner))
    size = len(body).to_bytes(8, "little")
    fields = b"\1\x09\xfe" + size + b"\2\1\0" + b"\3\x09\xfe" + sum(map(len, inner)).to_bytes(8, "little") + b"\0"
    return _fitted(bytearray(event[: events.HEADER] + fields + body))


def _fitted(data: bytearray) -> bytes:
    if len(data) >= events.HEADER:
        data[9:13] = len(data).to_bytes(4, "little")
    return bytes(data)


def _change(rng: random.Random, data: bytearray, begun: int = 0) -> None:
    """One stretch from ``begun`` on becomes another."""
    if len(data) <= begun:
        return
    at, how = rng.randrange(begun, len(data)), rng.randrange(8)
    if how == 0:
        data[at] ^= 1 << rng.randrange(8)
    elif how == 1:
        data[at] = rng.choice(_BYTES)
    elif how == 2:
        data[at : at + rng.choice((2, 3, 4, 8))] = _number(rng, data, at)
    elif how == 3:
        del data[at : at + rng.choice((1, 2, 4, 16))]
    elif how == 4:
        data[at:at] = rng.randbytes(rng.choice((1, 2, 4, 16)))
    elif how == 5:
        del data[at:]
    elif how == 6:
        size = rng.randrange(1, 17)
        other = rng.randrange(begun, len(data))
        data[at : at + size] = data[other : other + size]
    else:
        data[at:at] = data[at : at + rng.randrange(1, 65)] * rng.choice((1, 1, 8))


def _number(rng: random.Random, data: bytearray, at: int) -> bytes:
    """A length or an offset that is just right, just too large, or as large as can be."""
    size = rng.choice((2, 3, 4, 8))
    number = rng.choice(
        (0, 1, len(data) - at, len(data) - at - size, len(data), (1 << 8 * size) - 1, 1 << 8 * size - 1)
    )
    return (number & (1 << 8 * size) - 1).to_bytes(size, "little")


def _leave_out(rng: random.Random, made: list[bytes], _: list[bytes]) -> None:
    if made:
        del made[rng.randrange(len(made))]


def _double(rng: random.Random, made: list[bytes], _: list[bytes]) -> None:
    if made:
        made.insert(rng.randrange(len(made) + 1), rng.choice(made))


def _bring_in(rng: random.Random, made: list[bytes], recorded: list[bytes]) -> None:
    made.insert(rng.randrange(len(made) + 1), rng.choice(recorded))


def _join(rng: random.Random, made: list[bytes], recorded: list[bytes]) -> None:
    """The head of one event, the tail of another."""
    if made:
        at, other = rng.randrange(len(made)), rng.choice(recorded)
        cut = rng.randrange(len(made[at]) + 1)
        made[at] = _fitted(bytearray(made[at][:cut] + other[min(cut, rng.randrange(len(other))) :]))


def _retype(rng: random.Random, made: list[bytes], _: list[bytes]) -> None:
    if made:
        at = rng.randrange(len(made))
        type_ = rng.choice(_TYPES) if rng.random() < 0.8 else rng.randrange(256)
        made[at] = made[at][:4] + bytes([type_]) + made[at][5:]


_OF_STREAMS: tuple[Callable[[random.Random, list[bytes], list[bytes]], None], ...] = (
    *(_break,) * 6,
    _leave_out,
    _double,
    _bring_in,
    _join,
    _retype,
)
