"""Standing by while another capture of the version is at work, and going on in its place when it falls silent.

Whoever opens the journal shuts out the writer before it. Two captures that were started by mistake, or one that was
started to stand by, would shut each other out for ever; so a capture looks first whether positions are being
published. The fence still decides: this only keeps the peace. A capture that was taken for gone and was not (its
machine hung, its network was cut) finds itself shut out at its next commit, begins anew, and stands by in its turn.
"""

import logging
import threading
import time
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaException, TopicPartition

from changes.progress import internal_topic
from streams.kafka import OPERATION_SECONDS, KafkaUrl, classified

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""Several times as long as a capture that works, busy or idle, stays silent: where nothing comes in this time from the
start on, nobody is at work."""
SILENT_SECONDS = 3.0
"""For so long one that was seen at work may say nothing before it is taken for gone. A capture that was killed is back
before, where whoever watches over it starts it again: taking its place would only cost a second change of hands."""


def stand_by(kafka: KafkaUrl, version: str, stop: threading.Event, begins: Callable[[], None]) -> bool:
    """Return once nobody publishes positions of ``version``, or when ``stop`` is set; whether anybody did.

    ``begins`` is called once if somebody does. Raises `Transient` where Kafka cannot be reached.
    """
    consumer = Consumer(kafka.config(group_id=f"{version}.tailrace.standby", enable_auto_commit=False))
    part = TopicPartition(internal_topic(version, "positions"), 0)
    seen = False
    try:
        end = consumer.get_watermark_offsets(part, timeout=OPERATION_SECONDS)[1]
        moved = time.monotonic()
        while not stop.wait(LOOK_SECONDS):
            before, end = end, consumer.get_watermark_offsets(part, timeout=OPERATION_SECONDS)[1]
            if end != before:
                moved = time.monotonic()
                if not seen:
                    seen = True
                    begins()
                    log.info("another capture of `%s` is at work: standing by", version)
            elif not seen or time.monotonic() - moved >= SILENT_SECONDS:
                if seen:
                    log.warning("the capture of `%s` has been silent for %.0f s: going on in its place", version,
                                time.monotonic() - moved)  # fmt: skip
                break
    except KafkaException as error:
        raise classified(error.args[0], "looking for another capture") from error
    finally:
        consumer.close()
    return seen
