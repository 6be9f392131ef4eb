"""The way out of enrichment: enriched topics and the schemas of what is on them."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from changes.errors import Transient
from changes.progress import PublishedSchema, internal_topic
from streams.enrich.derive import Derived
from streams.kafka import OPERATION_SECONDS, KafkaUrl, classified

Out = tuple[str, bytes, bytes | None, list[tuple[str, str | bytes | None]]]
"""A record: topic, key, value, headers."""


@dataclass
class _Batch:
    """Records on their way; ``told`` is set, in ``loop``, once Kafka has answered for all of them."""

    left: int
    loop: asyncio.AbstractEventLoop
    told: asyncio.Future[None]
    failed: KafkaError | None = None

    def answered(self, error: KafkaError | None, _: Message) -> None:
        """Called by the one thread that polls."""
        self.left -= 1
        self.failed = self.failed or error
        if not self.left:
            self.loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        if self.told.done():
            return
        if self.failed is not None:
            self.told.set_exception(classified(self.failed, "writing results"))
        else:
            self.told.set_result(None)


class Outlet:
    """Every call returns once Kafka has what it was given, and raises `Transient` where it did not take it.

    Calls side by side do not wait for each other. Records of one key keep their order because whoever tells them waits
    for one call before the next.
    """

    def __init__(self, url: KafkaUrl, version: str) -> None:
        self._schemas = internal_topic(version, "schemas")
        self._published: set[str] = set()
        self._producer = Producer(
            url.config(
                acks="all",
                enable_idempotence=True,
                partitioner="murmur2_random",
                compression_type="lz4",
                message_max_bytes=8 << 20,
                linger_ms=5,
            )
        )
        self._closed = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="outlet", daemon=True)
        self._poller.start()

    async def publish(self, name: str, schema: PublishedSchema) -> None:
        """Say a schema once; before the first record that uses it."""
        if name not in self._published:
            await self._write([(self._schemas, name.encode(), msgspec.json.encode(schema), [])])
            self._published.add(name)

    async def emit(self, records: Sequence[Derived]) -> None:
        if records:
            await self._write([(one.topic, one.key, one.value, [*one.headers.to_kafka()]) for one in records])

    async def _write(self, records: Sequence[Out]) -> None:
        loop = asyncio.get_running_loop()
        batch = _Batch(len(records), loop, loop.create_future())
        for topic, key, value, headers in records:
            try:
                self._producer.produce(topic, key=key, value=value, headers=headers, on_delivery=batch.answered)
            except (KafkaException, BufferError) as error:
                raise Transient(f"a result could not be written: {error}") from error
        try:
            await asyncio.wait_for(batch.told, OPERATION_SECONDS)
        except TimeoutError as error:
            raise Transient(f"results were not written within {OPERATION_SECONDS:.0f} s") from error

    def _poll(self) -> None:
        while not self._closed.is_set():
            self._producer.poll(0.1)

    def close(self) -> None:
        """Nobody may be writing any more."""
        self._closed.set()
        self._poller.join()
