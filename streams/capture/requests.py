"""Requests to capture: their topic, read from a given offset on, and written by whoever asks."""

import logging
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from changes.errors import Transient
from changes.progress import Asked, Request, internal_topic
from streams.kafka import OPERATION_SECONDS, KafkaUrl, classified

log = logging.getLogger(__name__)

ROWS_A_REQUEST = 500
"""How many rows `send` asks for at once: a request is one chunk, and one Kafka transaction."""

_AHEAD = 100


@dataclass(frozen=True)
class Pending:
    """A request and where in its topic it stands. ``request`` is ``None`` where it cannot be read."""

    offset: int
    request: Request | None


class RequestReader:
    """The requests from ``offset`` on. Offsets are not committed: whoever answers keeps them with the answers."""

    def __init__(self, url: KafkaUrl, version: str, offset: int) -> None:
        self._topic = internal_topic(version, "requests")
        self._consumer = Consumer(
            url.config(
                group_id=f"{version}.tailrace.requests",
                enable_auto_commit=False,
                isolation_level="read_committed",
                auto_offset_reset="earliest",  # requests that have expired are asked for anew by their senders
            )
        )
        self._consumer.assign([TopicPartition(self._topic, 0, offset)])
        self._waiting: deque[Pending] = deque()

    def next(self) -> Pending | None:
        """The next request, if one has come. Never waits; raises `Transient` or `Misconfigured` for Kafka's sake."""
        if not self._waiting:
            try:
                for message in self._consumer.consume(_AHEAD, 0):
                    self._take(message)
            except KafkaException as error:
                raise classified(error.args[0], "reading requests") from error
        return self._waiting.popleft() if self._waiting else None

    def _take(self, message: Message) -> None:
        error, offset = message.error(), message.offset()
        if error is not None:
            if not error.retriable() and error.code() != KafkaError._PARTITION_EOF:
                raise classified(error, "reading requests")
            return
        try:
            request = msgspec.json.decode(message.value() or b"", type=Request)
        except msgspec.MsgspecError as problem:
            log.error(
                "the request at offset %s of `%s` cannot be read and is left out: %s", offset, self._topic, problem
            )
            request = None
        self._waiting.append(Pending(offset or 0, request))

    def close(self) -> None:
        self._consumer.close()


def send(url: KafkaUrl, version: str, table: str, rows: Sequence[Asked] | None, derived: str = "") -> int:
    """Ask capture for rows of a table, or for all, and with ``derived`` enrichment for what is made of them; the offset
    of the last request. See `ask`."""
    parts = [None] if rows is None else [rows[at : at + ROWS_A_REQUEST] for at in range(0, len(rows), ROWS_A_REQUEST)]
    asked = [Request(new_id(), table, None if part is None else list(part), derived) for part in parts]
    return max(ask(url, version, asked))


def new_id() -> str:
    """A name that no other request has."""
    return uuid.uuid4().hex


def ask(url: KafkaUrl, version: str, requests: Sequence[Request]) -> list[int]:
    """Send requests, at least one, to capture; their offsets. Returns once Kafka has them.

    Raises `Transient` where Kafka did not take them all: those that it did take will be answered all the same.
    """
    producer = Producer(url.config(enable_idempotence=True, partitioner="murmur2_random"))
    topic = internal_topic(version, "requests")
    offsets: list[int] = []
    failed: list[KafkaError] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failed.append(error)
        else:
            offsets.append(message.offset() or 0)

    for request in requests:
        value = msgspec.json.encode(request)
        producer.produce(topic, key=request.table.encode(), value=value, on_delivery=delivered)
    producer.flush(OPERATION_SECONDS)
    if failed:
        raise classified(failed[0], "sending a request")
    if len(offsets) != len(requests):
        raise Transient(f"Kafka did not take the request within {OPERATION_SECONDS:.0f} s")
    return offsets
