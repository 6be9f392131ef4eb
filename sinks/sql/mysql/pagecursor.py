"""Rows of a large result, read several times quicker than one by one through the driver's own cursor."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from pymysql.cursors import SSCursor
from pymysql.err import OperationalError

_NULL = 251
_WIDTHS = {252: 2, 253: 3, 254: 8}
"""Bytes that tell a value's length, by the byte before them; a smaller byte is the length itself.
https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_dt_integers.html"""


class PageCursor(SSCursor):
    """pymysql's unbuffered cursor, for connections in UTF-8; the rows of `fetchmany` are lists of the same values.

    The driver makes three calls for each value; this takes a row's packet apart in one loop. And it ends where its
    connection does, where closing the driver's fails with an `AttributeError` of its own instead.
    """

    def fetchmany(self, size: int | None = None) -> list[list[Any]]:  # type: ignore[override]
        """The next rows; none where there are no more."""
        result: Any = self._result  # type: ignore[attr-defined]
        if not result.unbuffered_active:
            return []
        read = result.connection._read_packet
        plan = [(encoding is not None, converter) for encoding, converter in result.converters]
        rows: list[list[Any]] = []
        for _ in range(size or self.arraysize):
            packet = read()
            if result._check_packet_is_eof(packet):
                _end(result)
                break
            rows.append(_row(packet.get_all_data(), plan))
        return rows

    def close(self) -> None:
        """Reads what nobody wanted, unless its connection has ended, or ends meanwhile."""
        result: Any = self._result  # type: ignore[attr-defined]
        if result is not None and result.unbuffered_active:
            if result.connection.open:
                with suppress(OperationalError):  # a lost connection is told to whoever uses it next
                    result._finish_unbuffered_query()
            _end(result)
        super().close()

    __del__ = close


def _row(data: bytes, plan: Iterable[tuple[bool, Callable[[Any], Any] | None]]) -> list[Any]:
    """The values of a row's packet. ``plan``: of each, whether it is text, and its converter."""
    row: list[Any] = []
    at = 0
    for is_text, converter in plan:
        length = data[at]
        at += 1
        if length == _NULL:
            row.append(None)
            continue
        if length > _NULL:
            width = _WIDTHS[length]
            length = int.from_bytes(data[at : at + width], "little")
            at += width
        value: Any = data[at : at + length]
        at += length
        if is_text:
            value = value.decode()
        row.append(value if converter is None else converter(value))
    return row


def _end(result: Any) -> None:
    """Nothing of it is left to be read."""
    result.unbuffered_active, result.connection, result.rows = False, None, None
