"""The topics of a version, as they must be."""

from changes.progress import internal_topic
from changes.topology import Topology
from streams.kafka import TopicSpec, compacted

LAG_DAYS = 7.0
"""The greatest lag that a sink may have: tombstones stay at least so long, and nothing newer is compacted."""
LARGEST_RECORD = 8 << 20
SUMS_LAG_MS = 600_000
_LETTERS_MS = 30 * 86_400_000
_REPLAYS_MS = 90 * 86_400_000
_AUDITS_MS = 30 * 86_400_000
_SMALL = {"segment.bytes": str(16 << 20), "segment.ms": "600000", "min.cleanable.dirty.ratio": "0.1"}
"""Small segments that are cleaned soon: of topics that are read whole at every start."""


def topic_specs(topology: Topology, version: str) -> list[TopicSpec]:
    """Change topics (compacted, one a table), enriched ones (one an enricher), and internal ones. Sizes in bytes."""
    largest = str(LARGEST_RECORD)
    changes = [
        TopicSpec(
            topology.topic(version, table.table),
            table.partitions,
            compacted(LAG_DAYS) | {"max.message.bytes": largest},
        )
        for table in topology.declared.tables
    ]
    enriched = [
        TopicSpec(
            topology.derived_topic(version, table.table, enricher),
            table.partitions,
            compacted(LAG_DAYS) | {"max.message.bytes": largest},
        )
        for table in topology.declared.tables
        for enricher in table.enrich
    ]
    return [
        *changes,
        *enriched,
        TopicSpec(internal_topic(version, "checkpoint"), 1, {"cleanup.policy": "compact", **_SMALL}),
        TopicSpec(internal_topic(version, "schemas"), 1, {"cleanup.policy": "compact"}),
        # whoever reads this one up to a mark finds what stood there for ten minutes
        TopicSpec(
            internal_topic(version, "sums"),
            1,
            {"cleanup.policy": "compact", "min.compaction.lag.ms": str(SUMS_LAG_MS), **_SMALL},
        ),
        TopicSpec(
            internal_topic(version, "positions"),
            1,
            {"cleanup.policy": "delete", "retention.ms": str(7 * 86_400_000), "retention.bytes": str(2 << 30)},
        ),
        TopicSpec(
            internal_topic(version, "requests"),
            1,
            {"cleanup.policy": "delete", "retention.ms": str(7 * 86_400_000), "max.message.bytes": largest},
        ),
        TopicSpec(
            internal_topic(version, "dlq"),
            1,
            {"cleanup.policy": "delete", "retention.ms": str(_LETTERS_MS), "max.message.bytes": largest},
        ),
        TopicSpec(internal_topic(version, "delivered"), 1, {"cleanup.policy": "compact", **_SMALL}),
        TopicSpec(
            internal_topic(version, "control"), 1, {"cleanup.policy": "delete", "retention.ms": "3600000", **_SMALL}
        ),
        TopicSpec(
            internal_topic(version, "audits"),
            1,
            {
                "cleanup.policy": "delete",
                "retention.ms": str(_AUDITS_MS),
                "retention.bytes": str(512 << 20),
                "max.message.bytes": largest,
            },
        ),
        TopicSpec(
            internal_topic(version, "replays"),
            1,
            {"cleanup.policy": "compact,delete", "retention.ms": str(_REPLAYS_MS), **_SMALL},
        ),
        # what was decided about a letter outlives it
        TopicSpec(
            internal_topic(version, "dlq-state"),
            1,
            {"cleanup.policy": "compact,delete", "retention.ms": str(2 * _LETTERS_MS), **_SMALL},
        ),
    ]
