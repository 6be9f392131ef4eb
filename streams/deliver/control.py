"""What people ask of lanes that run: ``<version>.tailrace.control``, which every delivery process follows."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Literal

import msgspec
from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from changes.errors import Transient
from changes.progress import internal_topic
from streams.kafka import OPERATION_SECONDS, KafkaUrl, classified

ASK_EVERY = 2.0


class Order(msgspec.Struct, frozen=True):
    """For the lanes of ``sinks``, for all where there are none.

    ``flush``: write now what waits for its tier's time. ``park``: set aside whatever is refused in the next
    minute. ``again``: go back to ``offsets`` (topic → partition → offset) and deliver from there, no more than ``rate``
    records a second up to ``ends`` where that is not 0; an order whose ``id`` a lane has followed is none.
    Nothing is kept for a lane that does not run.
    """

    verb: Literal["flush", "park", "again"]
    sinks: list[str] = []
    id: str = ""
    offsets: dict[str, dict[str, int]] = {}
    ends: dict[str, dict[str, int]] = {}
    rate: float = 0.0


class Orders:
    """The orders that come from now on. Blocking; for one thread at a time."""

    def __init__(self, url: KafkaUrl, version: str) -> None:
        self._consumer = Consumer(
            url.config(group_id=f"{version}.tailrace.control", enable_auto_commit=False, auto_offset_reset="latest")
        )
        self._consumer.assign([TopicPartition(internal_topic(version, "control"), 0, OFFSET_END)])

    def next(self, timeout: float) -> Order | None:
        """The next order, if one comes within ``timeout`` seconds; what is none is left out."""
        try:
            message = self._consumer.poll(timeout)
        except KafkaException as error:
            raise classified(error.args[0], "reading orders") from error
        if message is None or message.error() is not None:
            return None
        try:
            return msgspec.json.decode(message.value() or b"", type=Order)
        except msgspec.MsgspecError:
            return None

    def close(self) -> None:
        self._consumer.close()


def give(url: KafkaUrl, version: str, order: Order) -> None:
    """Returns once Kafka has it. Raises `Transient` where it did not take it."""
    producer = Producer(url.config(enable_idempotence=True))
    failed: list[KafkaError] = []

    def told(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error)

    producer.produce(internal_topic(version, "control"), value=msgspec.json.encode(order), on_delivery=told)
    if producer.flush(OPERATION_SECONDS):
        raise Transient("the order was not written in time")
    if failed:
        raise classified(failed[0], "writing an order")


@contextmanager
def flushing(url: KafkaUrl, version: str, sinks: Sequence[str] = ()) -> Iterator[None]:
    """Have the lanes write what comes at once, for as long as the block lasts."""
    over = threading.Event()

    def ask() -> None:
        while True:
            with suppress(Transient):  # it is asked again
                give(url, version, Order("flush", list(sinks)))
            if over.wait(ASK_EVERY):
                return

    asking = threading.Thread(target=ask, name="flushing", daemon=True)
    asking.start()
    try:
        yield
    finally:
        over.set()
        asking.join()
