"""The way out of enrichment: enriched topics and the schemas of what is on them."""

import asyncio
import threading
from collections.abc import Sequence

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from changes.errors import Transient
from changes.progress import PublishedSchema, internal_topic
from streams.enrich.derive import Derived
from streams.kafka import OPERATION_SECONDS, KafkaUrl, classified


class Outlet:
    """Writes off the event loop; every call returns once Kafka has what it was given, and raises `Transient` where it
    did not take it."""

    def __init__(self, url: KafkaUrl, version: str) -> None:
        self._schemas = internal_topic(version, "schemas")
        self._published: set[str] = set()
        self._lock = threading.Lock()
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

    async def publish(self, name: str, schema: PublishedSchema) -> None:
        """Say a schema once; before the first record that uses it."""
        if name not in self._published:
            await asyncio.to_thread(self._write, [(self._schemas, name.encode(), msgspec.json.encode(schema), [])])
            self._published.add(name)

    async def emit(self, records: Sequence[Derived]) -> None:
        if records:
            await asyncio.to_thread(
                self._write, [(one.topic, one.key, one.value, [*one.headers.to_kafka()]) for one in records]
            )

    def _write(self, records: Sequence[tuple[str, bytes, bytes | None, list[tuple[str, str | bytes | None]]]]) -> None:
        failed: list[KafkaError] = []
        left = len(records)
        done = threading.Event()

        def told(error: KafkaError | None, _: Message) -> None:
            nonlocal left
            left -= 1
            if error is not None:
                failed.append(error)
            if not left:
                done.set()

        with self._lock:  # one writer at a time keeps a key's records in the order in which they were made
            for topic, key, value, headers in records:
                try:
                    self._producer.produce(topic, key=key, value=value, headers=headers, on_delivery=told)
                except (KafkaException, BufferError) as error:
                    raise Transient(f"a result could not be written: {error}") from error
            self._producer.flush(OPERATION_SECONDS)
        if failed:
            raise classified(failed[0], "writing results")
        if not done.is_set():
            raise Transient(f"results were not written within {OPERATION_SECONDS:.0f} s")
