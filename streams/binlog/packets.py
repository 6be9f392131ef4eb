"""MySQL's wire protocol, as far as a binlog dump needs it: pure."""

from collections.abc import Iterator

_HEAD = 4
_MORE_FOLLOWS = 0xFFFFFF
"""A packet of this size goes on in the next one."""
LARGEST_EVENT = 1 << 30


class Packets:
    """Whole packets, headers taken off, out of bytes cut anywhere."""

    def __init__(self) -> None:
        self._rest = b""
        self._parts: list[bytes] = []

    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        """Raises `ValueError` for a packet larger than any event."""
        data, at = self._rest + bytes(data), 0
        while len(data) >= at + _HEAD:
            size = int.from_bytes(data[at : at + 3], "little")
            if len(data) < at + _HEAD + size:
                break
            packet = data[at + _HEAD : at + _HEAD + size]
            at += _HEAD + size
            if not self._parts and size < _MORE_FOLLOWS:
                yield packet
                continue
            self._parts.append(packet)
            if sum(map(len, self._parts)) > LARGEST_EVENT:
                raise ValueError(f"an event has more than {LARGEST_EVENT} bytes")
            if size < _MORE_FOLLOWS:
                yield b"".join(self._parts)
                self._parts = []
        self._rest = data[at:]
