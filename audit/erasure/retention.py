"""How long topics keep what was superseded: as they are set now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from changes.errors import Transient
from streams.kafka import OPERATION_SECONDS, KafkaUrl, classified

_BOUND, _LEAST = "max.compaction.lag.ms", "min.compaction.lag.ms"
_NEVER = (1 << 63) - 1
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Keeping:
    """One topic. ``superseded`` is how many ms after a newer record an older one may stay, ``deleted`` how long the
    tombstone then does; of a topic that is not compacted ``superseded`` is how long any record stays. ``None``: for
    ever."""

    compacted: bool
    superseded: int | None
    deleted: int | None


def keeping(settings: Mapping[str, str]) -> Keeping:
    """As a topic is set. Pure."""
    policies = settings["cleanup.policy"].split(",")
    retention = int(settings["retention.ms"])
    if "compact" not in policies:
        return Keeping(False, None if retention < 0 else retention, None)
    bound = int(settings[_BOUND])
    return Keeping(True, None if bound >= _NEVER else bound, int(settings["delete.retention.ms"]))


def of_topics(kafka: KafkaUrl, topics: Sequence[str]) -> dict[str, Keeping]:
    """Blocking. Raises `Transient` or `Misconfigured`."""
    return {name: keeping(settings) for name, settings in _settings(kafka, topics).items()}


def bound(kafka: KafkaUrl, topics: Sequence[str]) -> list[str]:
    """See to it that what is superseded in compacted topics goes within a bounded time, a day after it may; the topics
    of which that was not so. Without a bound Kafka compacts when half of a topic is superseded, or never.

    Blocking. Raises `Transient` or `Misconfigured`.
    """
    without = {
        name: str(int(settings[_LEAST]) + DAY_MS)
        for name, settings in _settings(kafka, topics).items()
        if keeping(settings).compacted and keeping(settings).superseded is None
    }
    if without:
        admin = AdminClient(kafka.config())
        resources = [
            ConfigResource(
                ResourceType.TOPIC,
                name,
                incremental_configs=[ConfigEntry(_BOUND, value, incremental_operation=AlterConfigOpType.SET)],
            )
            for name, value in without.items()
        ]
        try:
            for future in admin.incremental_alter_configs(resources).values():
                future.result(OPERATION_SECONDS)
        except KafkaException as error:
            raise classified(error.args[0], "bounding how long topics keep what is superseded") from error
        except TimeoutError as error:
            raise Transient("Kafka does not say in time whether topics are set otherwise") from error
    return sorted(without)


def _settings(kafka: KafkaUrl, topics: Sequence[str]) -> dict[str, dict[str, str]]:
    if not topics:
        return {}
    admin = AdminClient(kafka.config())
    try:
        found = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in topics])
        told = {one.name: future.result(OPERATION_SECONDS) for one, future in found.items()}
    except KafkaException as error:
        raise classified(error.args[0], "asking how topics are set") from error
    except TimeoutError as error:
        raise Transient("Kafka does not say in time how topics are set") from error
    return {name: {key: entry.value for key, entry in entries.items()} for name, entries in told.items()}
