"""Dead letters as the console sees them: the open ones, and what it has done about them."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from changes.position import to_text
from changes.progress import internal_topic
from changes.topology import Topology
from streams.capture.requests import send
from streams.deliver.healing import with_healed
from streams.deliver.letters import Letter, decide, letters_of
from streams.kafka import KafkaUrl
from streams.watch import GroupOffsets
from tailrace.agent.api import DeadLetter, LettersDone
from tailrace.letters import asked_for, table_of


class Letters:
    """``counts`` is how many letters of each store were open when `count` was asked last, ``None`` before."""

    def __init__(self, topology: Topology, version: str, endpoints: Mapping[str, str]) -> None:
        self._topology, self._version, self._endpoints = topology, version, endpoints
        self._kafka = KafkaUrl.parse(endpoints["kafka"])
        self._groups = GroupOffsets(self._kafka)
        self._ends: object = None
        self.counts: Counter[str] | None = None

    async def count(self) -> None:
        """Raises `Transient` where Kafka is away. Costs next to nothing where no letter is open and none has come."""
        topics = [internal_topic(self._version, "dlq"), internal_topic(self._version, "dlq-state")]
        ends = await asyncio.to_thread(self._groups.ends_of, topics)
        if ends != self._ends or self.counts is None or self.counts.total():
            self.counts = Counter(letter.sink for letter in await self._open())
            self._ends = ends

    async def listed(self, sink: str = "") -> list[DeadLetter]:
        """Raises `Transient` where Kafka is away."""
        return [self._told(letter) for letter in await self._open() if not sink or letter.sink == sink]

    async def retry(self, ids: Sequence[str]) -> LettersDone:
        """Have capture tell the rows of these open letters anew; what is no open letter is left out."""
        letters = [letter for letter in await self._open() if letter.id in ids]
        asked, without = asked_for(self._topology, self._version, letters)
        done = [letter for letter in letters if letter not in without]

        def ask() -> None:
            for (table, enricher), rows in asked.items():
                send(self._kafka, self._version, table, rows, enricher)
            decide(self._kafka, self._version, done, "retried")

        await asyncio.to_thread(ask)
        told = [letter.id for letter in done]
        return LettersDone(told, sum(map(len, asked.values())), [one for one in ids if one not in told])

    async def discard(self, ids: Sequence[str]) -> LettersDone:
        letters = [letter for letter in await self._open() if letter.id in ids]
        await asyncio.to_thread(decide, self._kafka, self._version, letters, "discarded")
        told = [letter.id for letter in letters]
        return LettersDone(told, 0, [one for one in ids if one not in told])

    async def _open(self) -> list[Letter]:
        """Without those whose row its store has taken since; of a store that is away nobody knows that."""
        letters = await asyncio.to_thread(letters_of, self._kafka, self._version)
        unsettled = [letter for letter in letters if letter.state == "open"]
        found, _ = await with_healed(self._topology, self._version, self._endpoints, unsettled)
        return [letter for letter in found if letter.state == "open"]

    def _told(self, letter: Letter) -> DeadLetter:
        table, enricher = table_of(self._topology, self._version, letter)
        parked = datetime.fromtimestamp(letter.parked_ms / 1000, UTC)
        return DeadLetter(
            letter.id,
            letter.sink,
            letter.target,
            f"{table}.{enricher}" if enricher else table,
            dict(letter.key),
            to_text(letter.position),
            letter.reason,
            letter.times,
            parked.isoformat(timespec="milliseconds"),
            letter.state,
        )
