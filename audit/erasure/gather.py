"""What is to be looked for of persons, gathered from the topics of the tables that hold rows of theirs.

A delete's record holds the whole row, and older records what the row was before. So nothing has to be remembered
between deleting and looking: whoever was killed in between gathers it again.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from confluent_kafka import Message

from audit.erasure.plan import Step
from audit.erasure.values import Person
from changes.canonical import Value
from changes.envelope import Delivered, decode, headers_from
from changes.progress import KeyValue
from changes.schema import TableSchema
from enrichers.contract import Enricher
from streams.enrich.derive import Plan
from streams.kafka import KafkaUrl, read_topic

Schemas = Callable[[str, str], TableSchema]
"""The schema of a table by its fingerprint. Raises `Transient` where nobody published it."""

Makers = Mapping[str, Sequence[tuple[Plan, Enricher]]]
"""What is made of each table's rows."""


@dataclass
class Gathered:
    """Of one person. ``rows`` has the Kafka keys of rows that are or were theirs, by table, and whether there is
    another's row, or nobody's, in their place now. ``cached`` are the keys under which enrichment remembers what it
    made of their rows, as they are and as they were."""

    person: Person
    rows: dict[str, dict[bytes, bool]] = field(default_factory=dict)
    cached: set[str] = field(default_factory=set)

    def keys(self, *, handed_on: bool) -> dict[str, list[bytes]]:
        """The keys of rows that went, or of those that are ``handed_on``."""
        found = {
            table: sorted(key for key, other in rows.items() if other is handed_on) for table, rows in self.rows.items()
        }
        return {table: keys for table, keys in found.items() if keys}


def images(change: Delivered) -> Iterator[Mapping[str, bool | int | float | str | list[float] | None]]:
    """The row as a record tells it, before and behind the change."""
    yield from (image for image in (change.before, change.after) if image is not None)


def gather(
    kafka: KafkaUrl,
    topic_of: Callable[[str], str],
    steps: Sequence[Step],
    owners: Mapping[str, Mapping[KeyValue, Gathered]],
    schemas: Schemas,
    makers: Makers,
) -> None:
    """Add what the topics of ``steps`` tell of the persons in ``owners``, which has them by table and id.

    Blocking. Raises `Transient` where Kafka is away.
    """
    for step in steps:
        if step.rows != "keep":
            for message in read_topic(kafka, topic_of(step.table)):
                _take(step, message, owners[step.table], schemas, makers.get(step.table, ()))


def _take(
    step: Step,
    message: Message,
    owners: Mapping[KeyValue, Gathered],
    schemas: Schemas,
    makers: Collection[tuple[Plan, Enricher]],
) -> None:
    value = message.value()
    if value is None:
        return
    try:
        change = decode(value)
    except msgspec.MsgspecError:
        return  # no record of capture's: it is looked through with all the others
    for image in images(change):
        owner = image.get(step.by)
        gathered = None if isinstance(owner, list) else owners.get(owner)
        if gathered is None:
            continue
        schema = schemas(step.table, headers_from(message.headers()).schema)
        row: Mapping[str, Value] = image
        only = step.set if step.rows == "clear" else None
        gathered.person.learn(step.table, schema, row, personal=step.personal, only=only)
        there = change.after is not None and change.after.get(step.by) != owner
        gathered.rows.setdefault(step.table, {})[message.key() or b""] = there
        gathered.cached |= {enricher.cache_key(enricher.read(plan.readable(row))) for plan, enricher in makers}
