"""``tailrace tap``: a topic's events as they come."""

import json
from pathlib import Path
from typing import Any

import click
import msgspec
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, Message, TopicPartition

from changes.envelope import headers_from
from changes.errors import Misconfigured
from streams.kafka import OPERATION_SECONDS, KafkaUrl
from tailrace.commands.common import json_option, one_version, topics_option, version_option
from tailrace.declared import read_topology
from tailrace.endpoints import endpoints_of


@click.command()
@topics_option
@version_option
@click.argument("topic")
@click.option("--from-beginning", is_flag=True, help="All that the topic holds, then what comes.")
@click.option("--count", type=click.IntRange(1), default=None, help="End after so many records.")
@click.option("--raw", is_flag=True, help="Show personal columns as they are.")
@json_option
def tap(
    topics: Path,
    version: str | None,
    topic: str,
    from_beginning: bool,
    count: int | None,
    raw: bool,
    as_json: bool,
) -> None:
    """Show the committed records of TOPIC (a table's name will do). Personal columns are masked."""
    topology = read_topology(topics)
    chosen = one_version(topology, version)
    table = topology.tables.get(topic)
    name = topology.topic(chosen, topic) if table else topic
    personal = set(table.columns.personal) if table and not raw else set()
    consumer = Consumer(
        KafkaUrl.parse(endpoints_of(topology, chosen)["kafka"]).config(
            group_id=f"{chosen}.tailrace.tap",
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
        )
    )
    try:
        there = consumer.list_topics(name, timeout=OPERATION_SECONDS).topics[name]
        if there.error is not None:
            raise Misconfigured(f"there is no topic `{name}`: {there.error.str()}")
        start = OFFSET_BEGINNING if from_beginning else OFFSET_END
        consumer.assign([TopicPartition(name, part, start) for part in there.partitions])
        left = count
        while left is None or left > 0:
            for message in consumer.consume(1 if left is not None else 100, 0.2):
                if message.error() is None:
                    click.echo(_line(message, personal, as_json))
                    left = None if left is None else left - 1
    finally:
        consumer.close()


def _line(message: Message, personal: set[str], as_json: bool) -> str:
    value = message.value()
    body: dict[str, Any] | None = None if value is None else msgspec.json.decode(value)
    for image in ("before", "after"):
        row = (body or {}).get(image)
        if row:
            row.update({column: "•••" for column in personal & row.keys() if row[column] is not None})
    headers = {
        key: text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        for key, text in dict(message.headers() or ()).items()
    }
    key = (message.key() or b"").decode("utf-8", "replace")
    if as_json:
        return json.dumps(
            {
                "partition": message.partition(),
                "offset": message.offset(),
                "key": key,
                "headers": headers,
                "value": body,
            },
            ensure_ascii=False,
        )
    if body is None or "op" not in body:
        return f"{message.partition()}:{message.offset()} {key} {'tombstone' if body is None else json.dumps(body)}"
    row = body["after"] if body["after"] is not None else body["before"]
    position = headers_from(message.headers()).position
    return (
        f"{message.partition()}:{message.offset()} {body['op']} {key} @{position} {json.dumps(row, ensure_ascii=False)}"
    )
