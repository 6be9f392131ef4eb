"""The journal on a real Kafka: one writer a version."""

from typing import Protocol

import pytest
from streams_readers import NATIVE

from changes.envelope import Headers
from changes.errors import Transient
from changes.progress import Checkpoint, Internal, internal_topic
from streams.capture.engine import native_module
from streams.capture.journal import Journal
from streams.kafka import KafkaUrl, TopicSpec, ensure_topics


class Running(Protocol):
    """The stack that the session shares."""

    admin: dict[str, dict[str, str]]


@pytest.mark.parametrize("engine", ["python", pytest.param("native", marks=NATIVE)])
def test_one_that_was_shut_out_before_it_wrote_says_so(stack: Running, engine: str) -> None:
    """Its records were thrown away unsent, and of themselves say no more than that."""
    kafka, version = KafkaUrl.parse(stack.admin["future"]["kafka"]), f"shut_{engine}"
    internal: list[Internal] = ["positions", "checkpoint", "schemas", "sums"]
    ensure_topics(kafka, [TopicSpec(internal_topic(version, name), 1, {}) for name in internal])
    native = native_module({"TAILRACE_ENGINE": engine})
    earlier, later = (Journal(kafka, version, native) for _ in range(2))
    earlier.open()
    earlier.begin()
    later.open()
    earlier.write(internal_topic(version, "sums"), b"key", b"value", Headers(1, 1, "0" * 16))
    with pytest.raises(Transient, match=r"another capture of version .* has taken over"):
        earlier.commit(Checkpoint("", 0, "0" * 19, "", 0), ordinal=0, rows=0, source_ms=0, now_ms=0, snapshots={})
    earlier.close()
    later.close()
