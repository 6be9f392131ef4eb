"""Erasing persons under traffic: how long it takes, and what is left in either stage.

``python -m bench.erasure [--persons N] [--rows N] [--rate N]``: one JSON object on stdout. Servers of the profile
``core`` are started, filled and kept in step under traffic, with everything that is made of rows. Twice as many persons
as are erased have rows in ten tables; the others must keep every one of theirs. The topics are then compacted
after seconds instead of a week, for the second stage; then copies of what was erased are planted, and looked for.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import asyncpg
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from redis import Redis

from audit.deep import Terms, check
from audit.erasure.run import Erasing
from audit.erasure.second import look_again
from audit.erasure.topics import sources_of
from audit.receipt import Receipt, opened, written
from changes.topology import Topology
from streams.kafka import KafkaUrl, TopicSpec, compacted, ensure_topics
from streams.mysql import MysqlUrl, connect
from streams.watch import enrichment_of, lanes_of, wait
from tailrace.declared import read_whole
from tailrace.endpoints import having
from tailrace.erasures import erasing
from tailrace.example.load import load
from tailrace.example.traffic import Traffic
from tailrace.pipeline import Pipeline
from tailrace.stack import Stack
from tailrace.stack.endpoints import variable

TOPICS = Path(__file__).parents[1] / "topics.yaml"
FIRST = 5_000_001
"""The least id of the persons; the generator and the traffic number theirs from 1."""
COPIED = 5
"""Persons of whom copies are planted."""
SOON = {
    "min.compaction.lag.ms": "0",
    "max.compaction.lag.ms": "2000",
    "segment.ms": "2000",
    "min.cleanable.dirty.ratio": "0.001",
}
OWNED = {
    "users": "id",
    "user_profiles": "user_id",
    "resumes": "user_id",
    "resume_skills": "user_id",
    "user_behaviors": "user_id",
    "ai_conversations": "user_id",
    "ai_messages": "user_id",
    "ai_analysis_results": "user_id",
    "financial_records": "user_id",
    "dao_points": "user_id",
    "dao_votes": "user_id",
}


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--persons", type=int, default=50)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=50.0, help="changes a second")
    arguments = parser.parse_args()
    with ExitStack() as leaving:
        folder = Path(leaving.enter_context(tempfile.TemporaryDirectory(prefix="tailrace-erasure-")))
        os.environ["TAILRACE_HOME"] = str(folder / "home")
        stack = Stack(folder / "stack", report=say)
        leaving.callback(stack.down)
        stack.up()
        print(json.dumps(measured(arguments, folder, stack.endpoints()["future"]), indent=2))


def measured(arguments: argparse.Namespace, folder: Path, endpoints: dict[str, str]) -> dict[str, Any]:
    topology = having(read_whole(TOPICS), endpoints)
    os.environ.update({variable("future", kind): url for kind, url in endpoints.items()})
    load(endpoints["mysql"], arguments.rows, 1)
    line = Pipeline(topology, {"future": endpoints}, topics=TOPICS, log_file=folder / "line.log")
    line.start()
    traffic = Traffic(endpoints["mysql"], rate=arguments.rate, seed=3)
    try:
        settle(topology, endpoints)
        traffic.start()
        people = range(FIRST, FIRST + 2 * arguments.persons)
        write(endpoints["mysql"], people)
        erased, others = people[::2], people[1::2]
        before = rows_of(endpoints["mysql"], others)
        job = erasing(topology, "future", timeout=300.0, derived=True, tell=say)
        began = time.monotonic()
        receipts = asyncio.run(job.erase([*map(str, erased)]))
        first = round(time.monotonic() - began, 1)
        told = {
            "persons": arguments.persons,
            "rows_deleted": sum(table.rows for receipt in receipts for table in receipt.tables),
            "seconds": first,
            "first_stage": stage(receipts),
            "receipts_verify": sum(opened(written(receipt)) == receipt for receipt in receipts),
            "receipt_kb": round(sum(len(written(receipt)) for receipt in receipts) / len(receipts) / 1024, 1),
        }
        say(f"the first stage: {told}")
        told["second_stage"] = second(job, topology, endpoints, receipts)
        say(f"the second stage: {told['second_stage']}")
        told["changes_a_second"] = round(traffic.stats().rate, 1)
        told["planted"] = planted(job, endpoints, receipts, erased)
        say(f"planted: {told['planted']}")
        traffic.pause()
        settle(topology, endpoints)
        report = asyncio.run(check(topology, "future", endpoints, terms=Terms(timeout=300.0))).report
        return told | {"others_keep_their_rows": rows_of(endpoints["mysql"], others) == before, "check": report.verdict}
    finally:
        traffic.stop()
        line.stop()


def stage(receipts: Sequence[Receipt]) -> dict[str, Any]:
    """What the receipts of one stage say."""
    verdicts = Counter(place.verdict for receipt in receipts for place in receipt.places)
    looked = receipts[0].places
    return {
        "verdicts": Counter(receipt.verdict for receipt in receipts),
        "traces": sum(place.found for receipt in receipts for place in receipt.places if place.verdict == "traces"),
        "undecided": verdicts["undecided"],
        "topics_due": verdicts["due"],
        "places": len(looked),
        "items": sum(place.items for place in looked),
        "mb": round(sum(place.bytes for place in looked) / 1e6, 1),
        "values_sought": sum(len(receipt.sought.needles) for receipt in receipts),
        "told": sorted(
            {
                f"{place.place} {trace.where.partition(' ')[0]} {trace.what}"
                for receipt in receipts
                for place in receipt.places
                if place.verdict == "traces"
                for trace in place.traces
            }
        )[:20],
    }


def second(job: Erasing, topology: Topology, endpoints: dict[str, str], receipts: Sequence[Receipt]) -> dict[str, Any]:
    """Have the topics compacted soon, and look again until they are."""
    soon(topology, endpoints)
    began, looks = time.monotonic(), 0
    while True:
        again = asyncio.run(look_again(job, receipts))
        looks += 1
        found = stage(again.receipts)
        say(f"looked again: {dict(found['verdicts'])}")
        seconds = round(time.monotonic() - began, 1)
        if "due" not in found["verdicts"] or seconds > 240:
            right = sum(opened(written(receipt)) == receipt for receipt in again.receipts)
            return found | {"seconds_until_clean": seconds, "looks": looks, "receipts_verify": right}
        job.ask_again(again.keys)
        time.sleep(5)


def planted(
    job: Erasing, endpoints: dict[str, str], receipts: Sequence[Receipt], erased: Sequence[int]
) -> dict[str, Any]:
    """Copies of some persons' e-mail addresses, in five places: all are found, and nobody else's."""
    places = ("mysql", "redis", "postgres", "sqlite", "future.copies")
    copied = {place: [email(user) for user in erased[:COPIED]] for place in places}
    with closing(connect(MysqlUrl.parse(endpoints["mysql"]))) as mysql, mysql.cursor() as cursor:
        cursor.execute("CREATE TABLE copies (note TEXT)")
        cursor.executemany("INSERT INTO copies VALUES (%s)", copied["mysql"])
        mysql.commit()
    with closing(Redis.from_url(endpoints["redis"])) as redis:
        redis.rpush("copies", *copied["redis"])
    asyncio.run(in_postgres(endpoints["postgres"], copied["postgres"]))
    path = Path(endpoints["sqlite"].removeprefix("sqlite://")) / "copies"
    path.write_text("\n".join(copied["sqlite"]))
    kafka = KafkaUrl.parse(endpoints["kafka"])
    ensure_topics(kafka, [TopicSpec("future.copies", 1, compacted(1))])
    producer = Producer(kafka.config())
    for number, note in enumerate(copied["future.copies"]):
        producer.produce("future.copies", key=str(number).encode(), value=note.encode())
    producer.flush(30)
    again = asyncio.run(look_again(job, receipts)).receipts
    traces = [{place.place for place in receipt.places if place.verdict == "traces"} for receipt in again]
    return {
        "copies": COPIED * len(copied),
        "found": sum(len(found & copied.keys()) for found in traces[:COPIED]),
        "found_elsewhere": sum(map(len, traces)) - sum(len(found & copied.keys()) for found in traces[:COPIED]),
    }


async def in_postgres(url: str, notes: Sequence[str]) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE public.copies (note text)")
    await connection.executemany("INSERT INTO public.copies VALUES ($1)", [(note,) for note in notes])
    await connection.close()


def email(user: int) -> str:
    return f"rowan.{user}@example.org"


def soon(topology: Topology, endpoints: dict[str, str]) -> None:
    entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in SOON.items()]
    resources = [
        ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        for topic in sources_of(topology, "future")
    ]
    admin = AdminClient(KafkaUrl.parse(endpoints["kafka"]).config())
    for future in admin.incremental_alter_configs(resources).values():
        future.result(30)


def settle(topology: Topology, endpoints: dict[str, str]) -> None:
    mysql, kafka = MysqlUrl.parse(endpoints["mysql"]), KafkaUrl.parse(endpoints["kafka"])
    lanes, enrichment = lanes_of(topology, "future"), enrichment_of(topology, "future")
    waited = wait(mysql, kafka, lanes, version="future", timeout=600, enrichment=enrichment)
    if not waited.done:
        raise SystemExit(f"not settled: {waited}")


def write(url: str, people: Sequence[int]) -> None:
    """Persons with some thirty rows each; nothing else writes to them."""
    with closing(connect(MysqlUrl.parse(url))) as connection, connection.cursor() as cursor:
        for user in people:
            connection.begin()
            for statement, rows in rows_for(user):
                cursor.executemany(statement, rows)
            connection.commit()


def rows_for(user: int) -> list[tuple[str, list[tuple[object, ...]]]]:
    """Their ids lie beyond those that the traffic comes by."""
    life = f"kept bees at the {user}th milestone for years and wrote a diary of the weather there"

    def ids(number: int) -> list[int]:
        return [20 * user + one for one in range(number)]

    return [
        (
            "INSERT INTO users (id, user_id, username, email, phone, password_hash) VALUES (%s, %s, %s, %s, %s, 'x')",
            [(user, f"p{user}", f"rowan{user}", email(user), f"+86 138 {user:08}")],
        ),
        (
            "INSERT INTO user_profiles (id, user_id, real_name, bio, avatar) VALUES (%s, %s, %s, %s, %s)",
            [(id_, user, f"Rowan Meadowsweet {user}", life, random.Random(user).randbytes(90)) for id_ in ids(1)],
        ),
        (
            "INSERT INTO resumes (id, user_id, title, content) VALUES (%s, %s, 'Beekeeper', %s)",
            [(id_, user, f"{id_}: {life}") for id_ in ids(2)],
        ),
        (
            "INSERT INTO resume_skills (resume_id, skill_id, user_id, skill_name, proficiency_level)"
            " VALUES (%s, %s, %s, 'bees', 'expert')",
            [(20 * user, number, user) for number in range(3)],
        ),
        (
            "INSERT INTO user_behaviors (id, user_id, session_id, action_type, user_agent, occurred_at)"
            " VALUES (%s, %s, %s, 'view', %s, NOW())",
            [(id_, user, f"s-{id_}", f"a browser of the person {user} on a telephone") for id_ in ids(10)],
        ),
        (
            "INSERT INTO ai_conversations (id, user_id, session_id, user_input, ai_response, model_name)"
            " VALUES (%s, %s, %s, %s, %s, 'rules')",
            [(id_, user, f"s-{id_}", f"what of {life}, {id_}?", f"of {life}: {id_}") for id_ in ids(3)],
        ),
        (
            "INSERT INTO ai_messages (id, conversation_id, user_id, message_type, content)"
            " VALUES (%s, 1, %s, 'user', %s)",
            [(id_, user, f"{id_}: a message of somebody who {life}") for id_ in ids(4)],
        ),
        (
            "INSERT INTO ai_analysis_results (id, user_id, analysis_type, target_type, input_content, analysis_result)"
            " VALUES (%s, %s, 'resume', 'user', %s, %s)",
            [(id_, user, f"an analysis of one who {life}", json.dumps({"summary": f"they {life}"})) for id_ in ids(1)],
        ),
        (
            "INSERT INTO financial_records (id, user_id, transaction_type, amount, description, transaction_date)"
            " VALUES (%s, %s, 'income', 10, %s, '2026-01-01')",
            [(id_, user, f"honey sold by the person {user} at the market") for id_ in ids(1)],
        ),
        (
            "INSERT INTO dao_points (id, user_id, change_type, amount, balance) VALUES (%s, %s, 'earned', 10, 10)",
            [(id_, user) for id_ in ids(2)],
        ),
        (
            "INSERT INTO dao_votes (id, proposal_id, user_id, choice, weight, reason, cast_at)"
            " VALUES (%s, 1, %s, 'for', 1, %s, NOW())",
            [(id_, user, f"for the bees of the person {user}, who have no vote") for id_ in ids(1)],
        ),
    ]


def rows_of(url: str, people: Sequence[int]) -> dict[str, int]:
    """How many rows these persons have, by table."""
    with closing(connect(MysqlUrl.parse(url))) as connection, connection.cursor() as cursor:
        found = {}
        for table, column in OWNED.items():
            cursor.execute(f"SELECT COUNT(*) FROM {table} WHERE {column} IN %s", ([*people],))
            ((found[table],),) = cursor.fetchall()
        return found


if __name__ == "__main__":
    main()
