"""Dead letters, read back: which are open, and what was done about them.

A letter is known by the place of the record that was refused, ``<topic>/<partition>/<offset>``, and by who refused it:
parked again, by a lane that was killed in between, it is the same letter. What somebody decided about one stands in
``<version>.tailrace.dlq-state``, compacted, under its name.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import msgspec
from confluent_kafka import KafkaError, Message, Producer

from changes.canonical import Value
from changes.envelope import KafkaHeaders, decode, decode_key, headers_from
from changes.errors import Transient
from changes.progress import KeyValue, internal_topic
from streams.kafka import OPERATION_SECONDS, KafkaUrl, classified, read_topic, record_at

LetterState = Literal["open", "healed", "retried", "discarded"]
Decided = Literal["retried", "discarded"]


class Decision(msgspec.Struct, frozen=True):
    """What somebody decided about a letter, and when, in milliseconds since 1970."""

    state: Decided
    at_ms: int


@dataclass(frozen=True)
class Letter:
    """``id`` is the refused record's place; that in the dead letters where capture could not write it at all.

    ``target`` is empty where the record could not be read. ``key`` is empty where that of the record is none. ``row``
    is what the record says of the row, behind the change or, of a delete, before it; it is shown and places the row,
    and is never written anywhere. ``at`` is the letter's own offset, ``parked_ms`` when it was written last, ``times``
    how often.
    """

    id: str
    topic: str
    sink: str
    target: str
    key: Mapping[str, KeyValue]
    position: int
    generation: int
    schema: str
    deleted: bool
    reason: str
    at: int
    parked_ms: int
    times: int = 1
    row: Mapping[str, Value] = field(default_factory=dict, repr=False)
    state: LetterState = "open"

    @property
    def name(self) -> str:
        """What is decided about it is kept under this."""
        return f"{self.sink}|{self.target}|{self.id}"


def letter_from(
    topic: str, at: int, key: bytes | None, value: bytes | None, pairs: KafkaHeaders, parked_ms: int
) -> Letter:
    """A record of the dead letters; what of it cannot be read is left empty."""
    told = {name: text.encode() if isinstance(text, str) else text or b"" for name, text in dict(pairs or ()).items()}

    def word(name: str) -> str:
        return told.get(name, b"").decode("utf-8", "replace")

    source = word("__connect.errors.topic")
    offset = word("__connect.errors.offset")
    place = f"{source}/{word('__connect.errors.partition')}/{offset}" if offset else f"{topic}/0/{at}"
    position, generation, schema = 0, 0, ""
    try:
        headers = headers_from(pairs)
        position, generation, schema = headers.position, headers.generation, headers.schema
    except ValueError:
        pass  # refused because it has none
    row, deleted = _row(value)
    return Letter(
        place,
        source,
        word("tr-sink"),
        word("tr-target"),
        _key(key),
        position,
        generation,
        schema,
        deleted,
        word("__connect.errors.exception.message"),
        at,
        parked_ms,
        row=row,
    )


def _key(key: bytes | None) -> dict[str, KeyValue]:
    try:
        return decode_key(key or b"{}")
    except msgspec.MsgspecError:
        return {}


def _row(value: bytes | None) -> tuple[Mapping[str, Value], bool]:
    try:
        change = decode(value or b"")
    except msgspec.MsgspecError:
        return {}, False
    return change.after or change.before or {}, change.op == "d"


def gathered(letters: Iterable[Letter], decisions: Mapping[str, Decision]) -> list[Letter]:
    """Each letter once, in the order in which they were parked first, with what was decided about it.

    One that was parked again after it was retried is open again.
    """
    found: dict[str, Letter] = {}
    for letter in letters:
        before = found.get(letter.name)
        found[letter.name] = letter if before is None else replace(letter, times=before.times + 1)
    return [_decided(letter, decisions.get(name)) for name, letter in found.items()]


def _decided(letter: Letter, decision: Decision | None) -> Letter:
    if decision is None or (decision.state == "retried" and decision.at_ms < letter.parked_ms):
        return letter
    return replace(letter, state=decision.state)


def letters_of(kafka: KafkaUrl, version: str) -> list[Letter]:
    """A version's dead letters; blocking. Raises `Transient` where Kafka cannot be reached."""
    decisions: dict[str, Decision] = {}
    for message in read_topic(kafka, internal_topic(version, "dlq-state")):
        value = message.value()
        if value is not None:
            decisions[(message.key() or b"").decode()] = msgspec.json.decode(value, type=Decision)
    topic = internal_topic(version, "dlq")
    parked = (
        letter_from(
            topic, message.offset() or 0, message.key(), message.value(), message.headers(), message.timestamp()[1]
        )
        for message in read_topic(kafka, topic)
    )
    return gathered(parked, decisions)


def message_of(kafka: KafkaUrl, version: str, letter: Letter) -> Message | None:
    """The letter as it was parked last; ``None`` where the topic no longer has it."""
    return record_at(kafka, internal_topic(version, "dlq"), 0, letter.at)


def decide(kafka: KafkaUrl, version: str, letters: Sequence[Letter], state: Decided) -> None:
    """Keep what was decided; returns once Kafka has it. Raises `Transient` where it did not take it."""
    producer = Producer(kafka.config(acks="all", enable_idempotence=True))
    failed: list[KafkaError] = []

    def told(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error)

    value = msgspec.json.encode(Decision(state, round(time.time() * 1000)))
    for letter in letters:
        producer.produce(internal_topic(version, "dlq-state"), key=letter.name.encode(), value=value, on_delivery=told)
    if producer.flush(OPERATION_SECONDS):
        raise Transient("what was decided about dead letters was not written in time")
    if failed:
        raise classified(failed[0], "writing what was decided about dead letters")
