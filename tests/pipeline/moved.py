"""A consumer group whose offsets are set by hand."""

import time

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient


def move(admin: AdminClient, group: str, to: list[TopicPartition]) -> None:
    """As soon as the broker has noticed that nobody is in the group."""
    deadline = time.monotonic() + 60
    while not moved(admin, group, to):
        assert time.monotonic() < deadline
        time.sleep(1)


def moved(admin: AdminClient, group: str, to: list[TopicPartition]) -> bool:
    try:
        answer = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, to)])[group].result(30)
    except KafkaException:
        return False
    return all(part.error is None for part in answer.topic_partitions)
