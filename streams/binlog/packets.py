"""MySQL's wire protocol, as far as a binlog dump needs it: pure."""

from collections.abc import Iterator

_HEAD = 4
_MORE_FOLLOWS = 0xFFFFFF
"""A packet of this size goes on in the next one."""
LARGEST_EVENT = 1 << 30


class Packets:
    """Whole packets, headers taken off, out of bytes cut anywhere."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._parts = bytearray()
        self._joining = False

    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        """Raises `ValueError` for a packet larger than any event."""
        self._rest += data
        rest, at = self._rest, 0
        while len(rest) >= at + _HEAD:
            size = int.from_bytes(rest[at : at + 3], "little")
            if len(rest) < at + _HEAD + size:
                break
            packet = bytes(memoryview(rest)[at + _HEAD : at + _HEAD + size])
            at += _HEAD + size
            if not self._joining and size < _MORE_FOLLOWS:
                yield packet
                continue
            self._parts += packet
            self._joining = size == _MORE_FOLLOWS
            if len(self._parts) > LARGEST_EVENT:
                raise ValueError(f"an event has more than {LARGEST_EVENT} bytes")
            if not self._joining:
                packet, self._parts = bytes(self._parts), bytearray()
                yield packet
        del rest[:at]
