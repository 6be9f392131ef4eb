"""A lane's store: opened, written to batch by batch, what it refuses set aside. Raises, and retries nothing."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from changes.errors import Misconfigured, Transient
from changes.record import Outcome, Record
from changes.target import Target
from sinks.contract import Sink, SinkSpec
from streams.deliver.deadletters import DeadLetter, DeadLetters
from streams.deliver.lifetimes import aged
from streams.deliver.prepare import Consumed, Prepared, prepare
from streams.deliver.schemas import SchemaBook, UnknownSchema
from streams.deliver.threshold import Refusals

log = logging.getLogger(__name__)


PARKED_SECONDS = 60.0


class Store:
    """``targets`` by topic; ``lane`` is what log lines call it."""

    def __init__(
        self,
        lane: str,
        spec: SinkSpec,
        endpoint: str,
        targets: Mapping[str, Sequence[Target]],
        schemas: SchemaBook,
        letters: DeadLetters,
    ) -> None:
        self._lane, self._spec, self._endpoint, self._targets = lane, spec, endpoint, targets
        self._schemas, self._letters = schemas, letters
        self._ready: set[tuple[str, str]] = set()
        self._refusals = Refusals()
        self._parks_until = float("-inf")
        self._sink: Sink | None = None

    @property
    def sink(self) -> Sink:
        if self._sink is None:
            self._sink = self._spec.build(self._endpoint)
        return self._sink

    def park_all(self) -> None:
        """Set aside whatever is refused in the next minute: somebody looked, and they are bad rows."""
        self._parks_until = time.monotonic() + PARKED_SECONDS

    async def reopen(self) -> None:
        """Leave every connection behind, and begin anew."""
        await self.close()
        await self.open()

    async def close(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            await sink.close()

    async def open(self) -> None:
        """Connect, and make the targets of all tables that are known already."""
        self._ready.clear()
        await asyncio.to_thread(self._schemas.refresh)
        latest = self._schemas.latest()
        tables = [
            (target, latest[target.table])
            for targets in self._targets.values()
            for target in targets
            if target.table in latest
        ]
        await self.sink.open(tables)
        self._ready |= {(target.name, schema.fingerprint) for target, schema in tables}

    async def write(self, messages: Sequence[Message]) -> tuple[Prepared, list[Outcome]]:
        """What was made of the messages, and what became of each of its records.

        Raises `Misconfigured` where too many are refused; none of them is parked then.
        """
        prepared = await self._prepared(messages)
        aged(prepared, _told_ms, round(time.time() * 1000))
        try:
            await self._open_new(prepared.records)
            outcomes = await self.sink.write(prepared.records)
        except (Transient, Misconfigured):
            self._ready.clear()  # it may come back without its tables
            raise
        await self._park(prepared, outcomes)
        return prepared, outcomes

    async def _prepared(self, messages: Sequence[Message]) -> Prepared:
        """Kafka shows a transaction's topics one after the other: a row may be seen before the schema that was
        published with it. Raises `Transient` then: the row must wait, not be set aside."""
        try:
            return prepare(messages, self._targets, self._schemas.of, self._spec.place_of)
        except UnknownSchema:
            await asyncio.to_thread(self._schemas.refresh)
        try:
            return prepare(messages, self._targets, self._schemas.of, self._spec.place_of)
        except UnknownSchema as error:
            raise Transient(str(error)) from error

    async def _open_new(self, records: Sequence[Record]) -> None:
        new = {
            (record.target.name, record.schema.fingerprint): (record.target, record.schema)
            for record in records
            if (record.target.name, record.schema.fingerprint) not in self._ready
        }
        if new:
            await self.sink.open(list(new.values()))
            self._ready |= new.keys()

    async def _park(self, prepared: Prepared, outcomes: Sequence[Outcome]) -> None:
        refused = [
            (record, outcome.reason)
            for record, outcome in zip(prepared.records, outcomes, strict=True)
            if outcome.kind == "rejected"
        ]
        letters = [
            DeadLetter(prepared.message_of[id(record)], self._spec.name, record.target.declared, reason)
            for record, reason in refused
        ]
        letters += [DeadLetter(message, self._spec.name, "", reason) for message, reason in prepared.unreadable]
        size = len(prepared.records) + len(prepared.unreadable)
        rows = {(letter.target, letter.message.key()) for letter in letters}
        problem = "" if time.monotonic() < self._parks_until else self._refusals.too_many(size, rows)
        if problem:
            raise Misconfigured(
                f"{problem}: an outage or a wrong declaration, not bad rows. Nothing of this batch is parked, and it is"
                f" tried again; mend what the store says, or `tailrace dlq park {self._spec.name}` if they are bad rows"
                f" all the same: {letters[-1].reason}"
            )
        self._refusals.took(size, rows)
        if not letters:
            return
        await asyncio.to_thread(self._letters.park, letters)
        for letter in letters:
            log.error(
                "%s refuses %s of `%s`, parked: %s",
                self._lane,
                (letter.message.key() or b"").decode("utf-8", "replace"),
                letter.message.topic(),
                letter.reason,
            )


def _told_ms(message: Consumed) -> int:
    """When it was written to its topic, in milliseconds since 1970."""
    kind, at = message.timestamp()
    return at if kind != TIMESTAMP_NOT_AVAILABLE else round(time.time() * 1000)
