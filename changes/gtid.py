"""Which transactions a server, or a reader, has executed; and so how many.

MySQL names a transaction ``uuid[:tag]:number`` and keeps sets of intervals. MariaDB names it
``domain-server-sequence`` and keeps the last of each domain; with one domain in strict mode its sequence number is
the count. The number of transactions executed up to one, in binlog order, is its ordinal (`changes.position`).
"""

import struct
import uuid
from typing import Protocol, Self

from changes.errors import Misconfigured


class Executed(Protocol):
    """A set of executed transactions; `add` changes it, everything else only reads."""

    @property
    def ordinal(self) -> int:
        """How many transactions it holds."""

    def add(self, gtid: str) -> None:
        """Take in one transaction; adding one twice changes nothing."""

    def extend(self, origin: str, first: int, last: int) -> None:
        """Take in the transactions of one origin (`uuid`, or MariaDB's domain and server) numbered so."""

    def holds(self, gtid: str) -> bool: ...

    def covers(self, other: Self) -> bool:
        """Whether every transaction of ``other`` is here too."""

    def copy(self) -> Self: ...


class MysqlGtids:
    """Intervals, end included, per source: ``uuid`` or ``uuid:tag``. The text form is MySQL's."""

    def __init__(self, text: str = "") -> None:
        self._intervals: dict[str, list[tuple[int, int]]] = {}
        self._count = 0
        for part in text.replace("\n", "").replace(" ", "").split(","):
            if part:
                self._read(part)

    def _read(self, part: str) -> None:
        source, *items = part.lower().split(":")
        owner = source
        for item in items:
            if not item[:1].isdigit():
                owner = f"{source}:{item}"
                continue
            first, _, last = item.partition("-")
            self._insert(owner, int(first), int(last or first))

    def _insert(self, owner: str, first: int, last: int) -> None:
        spans = self._intervals.setdefault(owner, [])
        if spans and spans[-1][1] + 1 == first:  # the usual case: the next transaction of one source
            spans[-1] = (spans[-1][0], last)
            self._count += last - first + 1
            return
        merged: list[tuple[int, int]] = []
        for low, high in sorted([*spans, (first, last)]):
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            else:
                merged.append((low, high))
        self._count += sum(h - low + 1 for low, h in merged) - sum(h - low + 1 for low, h in spans)
        self._intervals[owner] = merged

    @property
    def ordinal(self) -> int:
        return self._count

    def add(self, gtid: str) -> None:
        owner, _, number = gtid.lower().rpartition(":")
        self._insert(owner, int(number), int(number))

    def extend(self, origin: str, first: int, last: int) -> None:
        self._insert(origin.lower(), first, last)

    def holds(self, gtid: str) -> bool:
        owner, _, number = gtid.lower().rpartition(":")
        return any(low <= int(number) <= high for low, high in self._intervals.get(owner, ()))

    def covers(self, other: Self) -> bool:
        return all(
            any(low <= first and last <= high for low, high in self._intervals.get(owner, ()))
            for owner, spans in other._intervals.items()
            for first, last in spans
        )

    def copy(self) -> Self:
        twin = type(self)()
        twin._intervals = {owner: list(spans) for owner, spans in self._intervals.items()}
        twin._count = self._count
        return twin

    def __str__(self) -> str:
        by_source: dict[str, list[str]] = {}
        for owner, spans in sorted(self._intervals.items()):
            source, _, tag = owner.partition(":")
            items = by_source.setdefault(source, [])
            if tag:
                items.append(tag)
            items += [f"{low}-{high}" if high > low else f"{low}" for low, high in spans]
        return ",".join(":".join([source, *items]) for source, items in by_source.items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MysqlGtids) and self._intervals == other._intervals

    __hash__ = None  # type: ignore[assignment]

    def encode(self) -> bytes:
        """The set as COM_BINLOG_DUMP_GTID carries it (``Gtid_set::encode`` in MySQL's sql/rpl_gtid_set.cc).

        Interval ends are excluded on the wire. A set with tags takes the tagged form of MySQL 8.3.
        """
        tagged = any(":" in owner for owner in self._intervals)
        count = len(self._intervals)
        parts = [struct.pack("<Q", 1 << 56 | count << 8 | 1 if tagged else count)]
        for owner, spans in sorted(self._intervals.items()):
            source, _, tag = owner.partition(":")
            parts.append(uuid.UUID(source).bytes)
            if tagged:
                parts += [bytes([len(tag) << 1]), tag.encode()]
            parts.append(struct.pack("<Q", len(spans)))
            parts += [struct.pack("<QQ", low, high + 1) for low, high in spans]
        return b"".join(parts)


class MariadbGtids:
    """The last transaction of MariaDB's one domain, ``domain-server-sequence``.

    Several domains have no common order, so no ordinal: they are refused with `Misconfigured`.
    """

    def __init__(self, text: str = "") -> None:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if len(parts) > 1:
            raise Misconfigured(
                f"MariaDB writes in several GTID domains (`{text}`): set one `gtid_domain_id` everywhere"
            )
        self._last = parts[0] if parts else ""

    @property
    def ordinal(self) -> int:
        return int(self._last.rpartition("-")[2]) if self._last else 0

    def add(self, gtid: str) -> None:
        if self._last and self._last.partition("-")[0] != gtid.partition("-")[0]:
            raise Misconfigured(f"MariaDB writes in several GTID domains (`{self._last}`, `{gtid}`)")
        if int(gtid.rpartition("-")[2]) > self.ordinal:
            self._last = gtid

    def extend(self, origin: str, first: int, last: int) -> None:
        self.add(f"{origin}-{last}")

    def holds(self, gtid: str) -> bool:
        return int(gtid.rpartition("-")[2]) <= self.ordinal

    def covers(self, other: Self) -> bool:
        return other.ordinal <= self.ordinal

    def copy(self) -> Self:
        return type(self)(self._last)

    def __str__(self) -> str:
        return self._last

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MariadbGtids) and self._last == other._last

    __hash__ = None  # type: ignore[assignment]
