"""Persons erased while others write: nothing of theirs is left, nothing of others goes, what is planted is found."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from busy import Busy, busy_line
from click.testing import CliRunner, Result
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from line import REPOSITORY

from audit.erasure.secret import kept
from audit.erasure.topics import sources_of
from audit.receipt import opened
from changes.progress import internal_topic
from sinks.sql.sqlite.files import path_of
from streams.deliver.letters import letters_of
from streams.kafka import TopicSpec, compacted, ensure_topics, read_topic
from tailrace.cli import cli
from tailrace.endpoints import STORES
from tailrace.erasures import folder
from tailrace.stack.endpoints import variable

pytestmark = pytest.mark.slow

FIRST = 900_001
PERSONS = range(FIRST, FIRST + 6)


def email(user: int) -> str:
    return f"rowan.{user}@example.org"


def bio(user: int) -> str:
    return f"Keeps bees near the {user}th milestone, and writes about them at length"


def add(busy: Busy, user: int) -> None:
    """A person, with rows in several tables, of ids that the traffic does not come by."""
    busy.mysql(
        "INSERT INTO users (id, user_id, username, email, phone, password_hash) VALUES (%s, %s, %s, %s, %s, 'x')",
        user,
        f"person-{user}",
        f"rowan{user}",
        email(user),
        f"+86138{user:08}",
    )
    busy.mysql(
        "INSERT INTO user_profiles (id, user_id, real_name, bio, avatar) VALUES (%s, %s, %s, %s, %s)",
        user,
        user,
        f"Rowan Meadowsweet {user}",
        bio(user),
        bytes(range(100)) + str(user).encode(),
    )
    busy.mysql(
        "INSERT INTO resumes (id, user_id, title, content) VALUES (%s, %s, 'Beekeeper', %s)", user, user, bio(user)
    )
    busy.mysql(
        "INSERT INTO dao_points (id, user_id, change_type, amount, balance) VALUES (%s, %s, 'earned', 10, 10)",
        user,
        user,
    )
    busy.mysql(
        "REPLACE INTO dao_votes (id, proposal_id, user_id, choice, weight, reason, cast_at)"
        " VALUES (%s, 1, %s, 'for', 1, %s, NOW())",
        user,
        user,
        f"for the bees of {user}, who have no vote of their own",
    )


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Busy]:
    with busy_line(tmp_path_factory.mktemp("erasure"), rows=100, rate=20.0, enriched=True) as here:
        for user in PERSONS:
            add(here, user)
        here.mysql("UPDATE users SET email = 'older.name.of.rowan@example.org' WHERE id = %s", FIRST)
        here.mysql("UPDATE users SET email = %s WHERE id = %s", email(FIRST), FIRST)
        here.line.settle()
        yield here


def environ(busy: Busy, **more: str) -> dict[str, str]:
    own = {variable(busy.line.version, kind): url for kind, url in busy.line.endpoints.items()}
    stores = ",".join(busy.line.topology.sinks)
    return os.environ | own | {"PYTHONPATH": str(REPOSITORY), STORES: stores} | more


def run(busy: Busy, *words: str, **more: str) -> Result:
    return CliRunner().invoke(cli, [*words, "--topics", busy.line.topology.file], env=environ(busy, **more))


def told(result: Result, code: int = 0) -> Any:
    assert result.exit_code == code, (result.output, result.stderr, result.exception)
    return json.loads(result.stdout)


def erase(busy: Busy, *users: int, code: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = told(run(busy, "erase", *map(str, users), "--yes", "--json"), code)
    return found


def verify(busy: Busy, receipt: dict[str, Any], *words: str, code: int = 0, **more: str) -> dict[str, Any]:
    found: dict[str, Any] = told(run(busy, "receipt", "verify", receipt["receipt"], "--json", *words, **more), code)
    return found


def traces(receipt: dict[str, Any]) -> dict[str, list[str]]:
    """By place, where something stands."""
    return {
        one["place"]: sorted(trace["where"] for trace in one["traces"])
        for one in receipt["places"]
        if one["verdict"] == "traces"
    }


def verdicts(receipt: dict[str, Any]) -> set[str]:
    """Of everything but the topics that keep what was superseded."""
    due = (f"{receipt['version']}.jobfirst_future.", f"{receipt['version']}.enriched.")
    return {one["verdict"] for one in receipt["places"] if not one["place"].startswith(due)}


def letter(busy: Busy, user: int, text: str) -> None:
    """A dead letter of a table that nobody delivers, with somebody's text in it."""
    producer = Producer(busy.line.kafka.config())
    value = {"op": "c", "source": {}, "after": {"id": user, "note": text}}
    headers = [("__connect.errors.topic", b"elsewhere"), ("__connect.errors.offset", str(user).encode())]
    producer.produce(internal_topic("future", "dlq"), key=b"{}", value=json.dumps(value).encode(), headers=[*headers])
    assert producer.flush(30) == 0


def test_what_would_go_is_shown_and_stays(busy: Busy) -> None:
    plan = {one["table"]: one for one in told(run(busy, "erase", str(FIRST), "--dry-run", "--json"))}
    assert {name: (one["done"], one["rows"]) for name, one in plan.items() if one["rows"]} == {
        "users": ("deleted", 1),
        "user_profiles": ("deleted", 1),
        "resumes": ("deleted", 1),
        "dao_points": ("deleted", 1),
        "dao_votes": ("cleared", 1),
    }
    assert [*plan][-1] == "users"
    assert busy.postgres("SELECT count(*) FROM tailrace.users WHERE id = $1", FIRST)[0][0] == 1
    assert run(busy, "erase", "nobody", "--dry-run").exit_code == 2


def test_persons_go_from_everywhere_and_nobody_else_does(busy: Busy) -> None:
    letter(busy, FIRST, f"to {email(FIRST)}")
    letter(busy, FIRST + 5, f"to {email(FIRST + 5)}")
    file = path_of(Path(busy.line.endpoints["sqlite"]), str(FIRST))
    assert email(FIRST).encode() in b"".join(path.read_bytes() for path in file.parent.glob(f"{file.name}*"))
    receipts = erase(busy, FIRST, FIRST + 1)
    for user, receipt in zip((FIRST, FIRST + 1), receipts, strict=True):
        assert traces(receipt) == {}
        assert verdicts(receipt) == {"clean"}
        assert receipt["verdict"] == "due"
        assert {(one["table"], one["rows"], one["done"]) for one in receipt["tables"]} == {
            ("users", 1, "deleted"),
            ("user_profiles", 1, "deleted"),
            ("resumes", 1, "deleted"),
            ("dao_points", 1, "deleted"),
            ("dao_votes", 1, "cleared"),
        }
        taken = {one["what"]: one["number"] for one in receipt["followed"]}
        assert taken.pop("results remembered by enrichment") >= 1
        assert taken.pop("dead letters", 0) == (1 if user == FIRST else 0)
        assert taken == {"SQLite files written anew": 1, "rows told again, so that topics keep no older ones": 1}
        assert {one["place"] for one in receipt["places"]} >= {"mysql", "redis", "postgres", "sqlite"}
        whole = Path(receipt["receipt"]).read_bytes()
        for value in (email(user), "older.name.of.rowan", bio(user), f"+86138{user:08}", str(user)):
            assert value.encode() not in whole
        assert receipt["outside"][0]["until"] > receipt["ended"]
    assert email(FIRST).encode() not in b"".join(path.read_bytes() for path in file.parent.glob(f"{file.name}*"))
    assert [one.row["note"] for one in letters_of(busy.line.kafka, "future") if one.topic == "elsewhere"] == [
        f"to {email(FIRST + 5)}"
    ]
    busy.settle()
    assert busy.postgres("SELECT count(*) FROM tailrace.users WHERE id > $1", FIRST + 1)[0][0] == 4
    assert busy.postgres("SELECT count(*) FROM tailrace.dao_votes WHERE reason LIKE 'for the bees of%'")[0][0] == 4
    assert busy.line.check().verdict == "equal"
    told_again = run(busy, "erase", str(FIRST), "--yes", "--json")
    assert f"{FIRST} was erased at {receipts[0]['ended']} already" in told_again.stderr
    assert told(told_again)[0]["verdict"] == "due"


def planted(busy: Busy, user: int) -> None:
    """Copies where no row of theirs is."""
    with closing(busy.redis()) as client:
        client.hset(f"notes:{user % 10}", "who", email(user))
        client.set(f"mail:{email(user)}", "1")
    busy.postgres("CREATE TABLE IF NOT EXISTS public.copies (note text)")
    busy.postgres("INSERT INTO public.copies VALUES ($1)", f"see: {bio(user)}")
    busy.sqlite(str(FIRST + 5), "CREATE TABLE IF NOT EXISTS copies (note TEXT)")
    busy.sqlite(str(FIRST + 5), "INSERT INTO copies VALUES (?)", email(user))
    busy.mysql("INSERT INTO companies (id, name, contact_email) VALUES (%s, 'Rowan', %s)", user, email(user))
    produce(busy, "copies", email(user))


def produce(busy: Busy, topic: str, text: str) -> None:
    ensure_topics(busy.line.kafka, [TopicSpec(f"future.{topic}", 1, compacted(1))])
    producer = Producer(busy.line.kafka.config())
    producer.produce(f"future.{topic}", key=b"copy", value=text.encode())
    assert producer.flush(30) == 0


def test_a_planted_copy_is_found_in_every_kind_of_store(busy: Busy) -> None:
    user = FIRST + 2
    planted(busy, user)
    (receipt,) = erase(busy, user, code=3)
    found = traces(receipt)
    assert found.pop("mysql") == ["companies.contact_email"]
    assert found.pop("redis") == ["a name that itself holds the value", f"key `notes:{user % 10}`"]
    (in_postgres, *others) = [where for where in found.pop("postgres") if where.startswith("public.copies ")]
    assert in_postgres
    assert others == []
    assert {where.partition("-")[0].rpartition("/")[2] for where in found.pop("sqlite")} == {f"{FIRST + 5}.db"}
    assert found.pop("future.copies") == ["future.copies/0/0"]
    assert receipt["verdict"] == "traces"
    with closing(busy.redis()) as client:
        client.delete(f"notes:{user % 10}", f"mail:{email(user)}")
    busy.postgres("DROP TABLE public.copies")
    busy.sqlite(str(FIRST + 5), "DROP TABLE copies")
    busy.sqlite(str(FIRST + 5), "VACUUM")
    busy.sqlite(str(FIRST + 5), "PRAGMA wal_checkpoint(TRUNCATE)")
    busy.mysql("UPDATE companies SET contact_email = NULL WHERE id = %s", user)
    produce(busy, "copies", "nothing of the sort")
    busy.settle()
    (before,) = traces(verify(busy, receipt, code=3)).items()
    assert before[0] == "future.jobfirst_future.companies"  # the update's record has the row before it too
    busy.mysql("UPDATE companies SET name = 'Meadowsweet' WHERE id = %s", user)
    busy.settle()
    assert traces(verify(busy, receipt)) == {}
    letter(busy, 7, f"about {email(user)}")
    assert [*traces(verify(busy, receipt, code=3))] == ["future.tailrace.dlq"]


def test_killed_in_between_it_is_gone_on_with(busy: Busy) -> None:
    user = FIRST + 3
    words = [sys.executable, "-m", "tailrace", "erase", str(user), "--yes", "--topics", busy.line.topology.file]
    with subprocess.Popen(words, env=environ(busy), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as killed:
        assert killed.stderr is not None
        for line in killed.stderr:
            if b"waiting for the stores" in line:
                killed.kill()
                break
    assert not path_of_receipt(busy, user).exists()
    (receipt,) = erase(busy, user)
    assert receipt["tables"] == []
    assert receipt["sought"]["rows"] == 4
    assert receipt["sought"]["values"] >= 4
    assert traces(receipt) == {}
    assert path_of_receipt(busy, user).exists()


def path_of_receipt(busy: Busy, user: int) -> Path:
    secret = kept(folder(), "future")
    return folder() / "future" / f"{secret.who('future', str(user))}.json"


def test_rows_that_come_back_and_stores_that_are_away_are_told(busy: Busy) -> None:
    user = FIRST + 4
    (receipt,) = erase(busy, user)
    away = verify(busy, receipt, code=4, FUTURE_REDIS_URL="redis://:x@127.0.0.1:1/0")
    assert {one["place"] for one in away["places"] if one["verdict"] == "undecided"} == {"redis"}
    add(busy, user)
    busy.line.settle()
    found = traces(verify(busy, receipt, code=3))
    assert {"mysql", "redis", "postgres", "sqlite"} <= found.keys()
    again = run(busy, "erase", str(user), "--yes", "--json")
    assert "rows were written again since" in again.stderr
    assert traces(told(again)[0]) == {}


def test_a_receipt_that_was_changed_or_is_another_s_is_refused(busy: Busy, tmp_path: Path) -> None:
    path = path_of_receipt(busy, FIRST)
    assert told(run(busy, "receipt", "verify", str(path), "--offline", "--json"))["signature"] == "right"
    assert run(busy, "receipt", "verify", str(path), "--offline", "--user", str(FIRST)).exit_code == 0
    assert run(busy, "receipt", "verify", str(path), "--offline", "--user", str(FIRST + 1)).exit_code == 3
    spoilt = tmp_path / "spoilt.json"
    spoilt.write_bytes(path.read_bytes().replace(b'"due"', b'"clean"', 1))
    assert told(run(busy, "receipt", "verify", str(spoilt), "--json"), 3)["signature"] == "wrong"
    elsewhere = told(run(busy, "receipt", "verify", str(path), "--json", TAILRACE_HOME=str(tmp_path)), 4)
    assert elsewhere["signature"] == "foreign"


def test_the_topics_are_clean_once_they_are_compacted(busy: Busy, tmp_path: Path) -> None:
    receipt = {"receipt": str(path_of_receipt(busy, FIRST)), "version": "future"}
    before = verify(busy, receipt)
    assert before["verdict"] == "due"
    quickened(busy)
    deadline = time.monotonic() + 150
    while (found := verify(busy, receipt, "--nudge", "--receipt", str(tmp_path / "second.json")))["verdict"] == "due":
        assert time.monotonic() < deadline, [one for one in found["places"] if one["verdict"] == "due"]
        time.sleep(2)
    assert found["verdict"] == "clean"
    second = opened((tmp_path / "second.json").read_bytes())
    assert (second.stage, second.verdict) == (2, "clean")
    for topic in ("users", "user_profiles", "resumes"):
        for message in read_topic(busy.line.kafka, f"future.jobfirst_future.{topic}", committed=False):
            assert email(FIRST).encode() not in (message.value() or b"")
            assert bio(FIRST).encode() not in (message.value() or b"")


def quickened(busy: Busy) -> None:
    """Topics that are compacted after a second."""
    settings = {
        "min.compaction.lag.ms": "0",
        "max.compaction.lag.ms": "1000",
        "segment.ms": "1000",
        "min.cleanable.dirty.ratio": "0.001",
    }
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in settings.items()
    ]
    topics = sources_of(busy.line.topology, "future")
    admin = AdminClient(busy.line.kafka.config())
    resources = [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries) for topic in topics]
    for future in admin.incremental_alter_configs(resources).values():
        future.result(30)
