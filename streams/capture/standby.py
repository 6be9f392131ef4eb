"""Standing by while another capture of the version is at work.

Whoever opens the journal shuts out the writer before it. Two captures that were started by mistake, or one that was
started to stand by, would shut each other out for ever; so a capture looks first whether positions are being
published. The fence still decides: this only keeps the peace.
"""

import logging
import threading

from confluent_kafka import Consumer, KafkaException, TopicPartition

from changes.progress import internal_topic
from streams.kafka import OPERATION_SECONDS, KafkaUrl, classified

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""Several times as long as a capture that works, busy or idle, stays silent."""


def stand_by(kafka: KafkaUrl, version: str, stop: threading.Event) -> None:
    """Return once nobody publishes positions of ``version``, or when ``stop`` is set.

    Raises `Transient` where Kafka cannot be reached.
    """
    consumer = Consumer(kafka.config(group_id=f"{version}.tailrace.standby", enable_auto_commit=False))
    part = TopicPartition(internal_topic(version, "positions"), 0)
    said = False
    try:
        end = consumer.get_watermark_offsets(part, timeout=OPERATION_SECONDS)[1]
        while not stop.wait(LOOK_SECONDS):
            before, end = end, consumer.get_watermark_offsets(part, timeout=OPERATION_SECONDS)[1]
            if end == before:
                return
            if not said:
                log.info("another capture of `%s` is at work: standing by", version)
                said = True
    except KafkaException as error:
        raise classified(error.args[0], "looking for another capture") from error
    finally:
        consumer.close()
