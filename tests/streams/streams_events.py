"""Raw binlog events as MySQL 9.7 sent them (``captured.txt``), and helpers that make others."""

from pathlib import Path

from streams.binlog import events
from streams.binlog.charsets import Collations
from streams.binlog.table_map import TableMap, parse_table_map

CAPTURED: dict[str, list[bytes]] = {}
for _line in (Path(__file__).parent / "captured.txt").read_text().splitlines():
    _name, _, _hex = _line.partition(" ")
    CAPTURED.setdefault(_name, []).append(bytes.fromhex(_hex))

COLLATIONS = Collations(
    [
        (8, "latin1", 1),
        (28, "gbk", 2),
        (45, "utf8mb4", 4),
        (63, "binary", 1),
        (224, "utf8mb4", 4),
        (255, "utf8mb4", 4),
    ]
)


def event(type_: int, body: bytes, *, timestamp: int = 1, server_id: int = 1, end: int = 0, flags: int = 0) -> bytes:
    """An event without a checksum."""
    size = events.HEADER + len(body)
    head = timestamp.to_bytes(4, "little") + bytes([type_]) + server_id.to_bytes(4, "little")
    return head + size.to_bytes(4, "little") + end.to_bytes(4, "little") + flags.to_bytes(2, "little") + body


def table() -> TableMap:
    """The layout of the captured row events."""
    return parse_table_map(CAPTURED["table_map"][0], events.HEADER, COLLATIONS)
