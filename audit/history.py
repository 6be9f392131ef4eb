"""The audits of a version, kept in ``<version>.tailrace.audits`` for a month: what, when, why, and what came of it.

Each record also has the incidents that were open behind its audit, so whoever reads the last ones knows all that is
open. Counts of records stand among them, where they said something new, and what was told to people about incidents.
"""

import logging
import threading
from collections import deque

import msgspec
from confluent_kafka import KafkaError, Message, Producer

from audit.entry import Accounts, Audit, AuditDetail, Entry
from audit.incidents import Depth, Incident
from changes.progress import internal_topic
from streams.kafka import OPERATION_SECONDS, KafkaUrl, classified, read_topic, record_at

log = logging.getLogger(__name__)

REMEMBERED = 2000
"""Audits that are listed; older ones are in the topic."""
WHOLE = 20
"""Audits that are at hand with their reports; others are read from the topic."""


_decode = msgspec.json.Decoder(Entry).decode


class History:
    """`load` and `add` block, and so does `detail` where an audit is not at hand; any thread may ask."""

    def __init__(self, kafka: KafkaUrl, version: str) -> None:
        self._kafka, self._topic = kafka, internal_topic(version, "audits")
        self._producer = Producer(
            kafka.config(enable_idempotence=True, compression_type="lz4", message_timeout_ms=30_000)
        )
        self._listed: deque[tuple[Audit, int]] = deque(maxlen=REMEMBERED)
        self._whole: deque[AuditDetail] = deque(maxlen=WHOLE)
        self._closed: deque[Incident] = deque(maxlen=REMEMBERED)
        self._adding = threading.Lock()
        self.accounts: Accounts | None = None
        self.open: list[Incident] = []
        self.told: set[tuple[str, str]] = set()

    def load(self) -> None:
        """Take in what the topic holds. Raises `Transient` where Kafka cannot be reached."""
        for message in read_topic(self._kafka, self._topic, start=lambda low, high: high - REMEMBERED):
            try:
                entry = _decode(message.value() or b"")
            except msgspec.MsgspecError as error:
                log.warning("the record at offset %s of `%s` is left out: %s", message.offset(), self._topic, error)
                continue
            self._take(entry, message.offset() or 0)

    def _take(self, entry: Entry, offset: int) -> None:
        if entry.audit is not None:
            self._listed.append((entry.audit.short, offset))
            self._whole.append(entry.audit)
        if entry.accounts is not None:
            self.accounts = entry.accounts
        if entry.audit is not None or entry.accounts is not None:
            self.open = entry.open
            self._closed.extend(entry.closed)
        if entry.told is not None:
            self.told.add((entry.told.incident, entry.told.event))

    def add(self, entry: Entry) -> None:
        """Keep it. Where Kafka does not take it in time it is remembered here alone, with a warning."""
        name = next((one.id for one in (entry.audit, entry.accounts) if one is not None), "")
        if entry.told is not None:
            name = entry.told.incident
        offsets: list[int] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                log.warning("`%s` is not kept: %s", name, classified(error, f"writing to `{self._topic}`"))
            else:
                offsets.append(message.offset() or 0)

        self._producer.produce(self._topic, key=name.encode(), value=msgspec.json.encode(entry), on_delivery=delivered)
        self._producer.flush(OPERATION_SECONDS)
        with self._adding:
            self._take(entry, offsets[0] if offsets else -1)

    def listed(self, limit: int = REMEMBERED) -> list[Audit]:
        """The newest first."""
        return [audit for audit, _ in list(self._listed)[: -limit - 1 : -1]]

    def incidents(self, limit: int = REMEMBERED) -> list[Incident]:
        """The open ones, then those that were closed, either the newest first."""
        open_ = sorted(self.open, key=lambda one: -one.opened_ms)
        return [*open_, *list(self._closed)[::-1]][:limit]

    def detail(self, id_: str) -> AuditDetail | None:
        """One audit whole; ``None`` where it is unknown or the topic has it no longer. Raises `Transient`."""
        for whole in self._whole:
            if whole.id == id_:
                return whole
        offset = next((offset for audit, offset in self._listed if audit.id == id_), -1)
        message = record_at(self._kafka, self._topic, 0, offset) if offset >= 0 else None
        return None if message is None else _decode(message.value() or b"").audit

    def last_of(self, depth: Depth) -> Audit | None:
        """The newest audit on schedule of that depth that was done."""
        return next(
            (one for one in self.listed() if one.depth == depth and one.why == "schedule" and one.verdict is not None),
            None,
        )

    def at_hand(self) -> list[AuditDetail]:
        """Those that are kept with their reports, the oldest first."""
        return list(self._whole)
