"""The schemas that capture has published, by table and fingerprint."""

import threading

import msgspec

from changes.progress import PublishedSchema, internal_topic
from changes.schema import TableSchema
from streams.kafka import KafkaUrl, read_topic


class UnknownSchema(Exception):
    """A record names a schema that is not to be seen yet."""


class SchemaBook:
    """Reads the schemas topic when asked for a schema that it does not know.

    Capture publishes a schema in the Kafka transaction of its first record, or earlier. A transaction becomes visible
    topic by topic, so a record may be read a moment before its schema.
    """

    def __init__(self, url: KafkaUrl, version: str) -> None:
        self._url = url
        self._topic = internal_topic(version, "schemas")
        self._known: dict[tuple[str, str], TableSchema] = {}
        self._lock = threading.Lock()

    def knows(self, table: str, fingerprint: str) -> bool:
        return (table, fingerprint) in self._known

    def of(self, table: str, fingerprint: str) -> TableSchema:
        """Raises `UnknownSchema` where nobody has published it yet."""
        found = self._known.get((table, fingerprint))
        if found is None:
            raise UnknownSchema(f"no schema `{fingerprint}` of table `{table}` was published")
        return found

    def latest(self) -> dict[str, TableSchema]:
        """The schema published last of each table."""
        return {table: schema for (table, _), schema in self._known.items()}

    def refresh(self) -> None:
        """Blocks while the topic is read. Raises `Transient` where Kafka cannot be reached."""
        with self._lock:
            for message in read_topic(self._url, self._topic):
                value = message.value()
                if value is not None:
                    published = msgspec.json.decode(value, type=PublishedSchema)
                    self._known[published.schema.table, published.fingerprint] = published.schema
