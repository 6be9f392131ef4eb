"""The same binlog read by the real Debezium and by both readers: event by event the same, but for what is documented.

Every difference that is allowed stands in `DIFFERENCES` under the words by which docs/envelope.md tells it; each must
be met, so that the page tells no old stories.
"""

import base64
import json
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from streams_debezium import DEBEZIUM, Line, debezium
from streams_every import EVERY
from streams_logged import sent
from streams_readers import NATIVE, World

from changes.gtid import MysqlGtids
from changes.topology import load
from streams.capture.snapshot import binlog_end, executed
from streams.describe import collations_of
from streams.mysql import MysqlUrl, session

pytestmark = [DEBEZIUM, NATIVE, pytest.mark.long]

DATABASE = "beside_debezium"
DOCS = Path(__file__).resolve().parents[2] / "docs" / "envelope.md"
KEYS = {"t": ["id"], "people": ["name"], "pairs": ["b", "a"]}


class Running(Protocol):
    """The stack that the session shares."""

    admin: dict[str, dict[str, str]]


def work(cursor: Any) -> None:
    """Every type, every kind of change, keys of several kinds, DDL between."""
    cursor.execute("SET sql_mode = '', time_zone = '+00:00'")
    names = ", ".join(f"`{name}`" for name in ("id", *EVERY))
    for number in range(max(len(values) for _, values in EVERY.values())):
        literals = [values[number % len(values)][0] for _, values in EVERY.values()]
        cursor.execute(f"INSERT INTO t ({names}) VALUES ({number}, {', '.join(literals)})")
    cursor.execute("UPDATE t SET whole = id, name = CONCAT('é', id), doc = JSON_OBJECT('n', id)")
    cursor.execute("UPDATE t SET id = id + 1000 WHERE id < 5")
    cursor.execute("DELETE FROM t WHERE id >= 1000")
    cursor.execute("BEGIN")
    cursor.execute("INSERT INTO people VALUES ('Ana', 1), ('ana ', 2), ('文😀', 3)")
    cursor.execute("INSERT INTO pairs VALUES (1, 'x', NULL), (-1, 'X', 'y')")
    cursor.execute("UPDATE people SET age = age + 10")
    cursor.execute("UPDATE t SET tiny = 5 WHERE id < 10")
    cursor.execute("DELETE FROM pairs WHERE a = -1")
    cursor.execute("COMMIT")
    cursor.execute("UPDATE people SET name = 'Bea' WHERE name = 'Ana'")
    cursor.execute("ALTER TABLE people ADD COLUMN city VARCHAR(20) DEFAULT 'Bonn' AFTER name")
    cursor.execute("INSERT INTO people VALUES ('Zoe', 'Ulm', 7)")
    cursor.execute("UPDATE people SET city = NULL WHERE name = 'Bea'")
    cursor.execute("REPLACE INTO pairs VALUES (1, 'x', 'z')")
    cursor.execute("INSERT INTO people (name, age) VALUES ('Zoe', 1) ON DUPLICATE KEY UPDATE age = 8")


@dataclass(frozen=True)
class Both:
    """By topic, what each told: (key, value or None), in order."""

    theirs: dict[str, list[tuple[Any, Any]]]
    ours: dict[str, list[tuple[Any, Any]]]
    types: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def both(stack: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    root = MysqlUrl.parse(stack.admin["future"]["mysql"])
    with session(root) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
        try:
            cursor.execute(f"USE {DATABASE}")
            columns = ", ".join(f"`{name}` {type_}" for name, (type_, _) in EVERY.items())
            cursor.execute(f"CREATE TABLE t (id INT PRIMARY KEY, {columns})")
            cursor.execute("CREATE TABLE people (name VARCHAR(20) COLLATE utf8mb4_bin PRIMARY KEY, age INT)")
            cursor.execute("CREATE TABLE pairs (a BIGINT, b CHAR(5) COLLATE utf8mb4_bin, c TEXT, PRIMARY KEY (b, a))")
            cursor.execute("CREATE TABLE marks (id INT AUTO_INCREMENT PRIMARY KEY, word TEXT)")
            with debezium(root, DATABASE, "that was all", tmp_path_factory.mktemp("debezium")) as peer:
                peer.follows(lambda: cursor.execute("INSERT INTO marks (word) VALUES ('here')"))
                start = executed(connection, mariadb=False)
                work(cursor)
                place = binlog_end(cursor)
                cursor.execute("INSERT INTO marks (word) VALUES ('that was all')")
                assert peer.ended() == 0
            assert isinstance(start, MysqlGtids)
            yield Both(by_topic(peer.lines), ours(root, start, *place), types(cursor))
        finally:
            cursor.execute(f"DROP DATABASE {DATABASE}")


def by_topic(lines: list[Line]) -> dict[str, list[tuple[Any, Any]]]:
    found: dict[str, list[tuple[Any, Any]]] = {}
    for topic, key, value in lines:
        if topic.rpartition(".")[2] in KEYS:
            found.setdefault(topic, []).append((json.loads(key), json.loads(value) if value else None))
    return found


def ours(root: MysqlUrl, start: MysqlGtids, file: str, offset: int) -> dict[str, list[tuple[Any, Any]]]:
    tables = "".join(
        f"  - table: {table}\n    key: [{', '.join(key)}]\n"
        f"    sinks: [{{sink: redis, tier: realtime, place: '{table}:{':'.join(f'{{{name}}}' for name in key)}'}}]\n"
        for table, key in KEYS.items()
    )
    text = f"versions:\n  future: {{database: {DATABASE}, env: FUTURE_}}\ntables:\n{tables}"
    topology = load(text, "topics.yaml", {"redis": lambda target: None})
    with session(root) as connection:
        world = World(topology, collations_of(connection), start.copy())
    layouts = world.layouts()
    plain, native = (world.readers(layouts)[0], world.readers()[1])
    outcome, twin = (world.outcome(reader, [sent(root, start.copy(), file, offset)]) for reader in (plain, native))
    assert outcome.error is None
    assert outcome.records == twin.records
    found: dict[str, list[tuple[Any, Any]]] = {}
    for layout, key, value, _, _ in outcome.records:
        told = (json.loads(key), json.loads(value) if value else None)
        found.setdefault(layouts[layout].topic, []).append(told)
    return found


def types(cursor: Any) -> dict[str, dict[str, str]]:
    cursor.execute(
        "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()"
    )
    found: dict[str, dict[str, str]] = {}
    for table, column, type_ in cursor.fetchall():
        found.setdefault(table, {})[column] = type_
    return found


# -- what may differ -------------------------------------------------------------------------------------------------


def wrapped(theirs: Any, mine: Any) -> bool:
    return isinstance(mine, int) and mine >= 1 << 63 and theirs == mine - (1 << 64)


def rounded(theirs: Any, mine: Any) -> bool:
    """The very same float32."""
    return (
        struct.pack("<f", theirs) == struct.pack("<f", mine) and struct.unpack("<f", struct.pack("<f", mine))[0] == mine
    )


def no_date(theirs: Any, mine: Any) -> bool:
    return theirs is None and re.match(r"0000-|\d{4}-00|\d{4}-\d\d-00", mine) is not None


def early(theirs: Any, mine: Any) -> bool:
    year = int(mine[:4])
    return year < 100 and theirs == f"{year + (2000 if year < 70 else 1900)}{mine[4:]}"


def short_fraction(theirs: Any, mine: Any) -> bool:
    return theirs == mine.rstrip("Z").rstrip("0").rstrip(".") + "Z"


def beyond_a_day(theirs: Any, mine: Any) -> bool:
    return theirs is None and (mine.startswith("-") or int(mine.partition(":")[0]) >= 24)


def year_zero(theirs: Any, mine: Any) -> bool:
    return (theirs, mine) == (1900, 0)


def other_digits(theirs: Any, mine: Any) -> bool:
    """The same JSON, but for how its numbers are spelled."""
    return bool(json.loads(theirs) == json.loads(mine))


def named_bytes(theirs: Any, mine: Any) -> bool:
    return theirs == re.sub(r"base64:type\d+:", "", mine)


def negative_in_json(theirs: Any, mine: Any) -> bool:
    """Debezium writes each part's sign into the middle of the time."""
    return re.sub(r'"\d\d:\d-\d:\d-\d\.\d+-\d"', "T", theirs) == re.sub(r'"-[\d:.]+"', "T", mine)


def no_character(theirs: Any, mine: Any) -> bool:
    return len(theirs) == len(mine) and all(a in {b, "\ufffd"} for a, b in zip(theirs, mine, strict=True))


def other_characters(theirs: Any, mine: Any) -> bool:
    """Text of KOI8-U that was read as KOI8-R: the four letters that differ."""
    return bool(theirs == mine.encode("koi8-u").decode("koi8-r"))


def geometry(theirs: Any, mine: Any) -> bool:
    srid = struct.pack("<I", theirs["srid"] or 0)
    return srid + base64.b64decode(theirs["wkb"]) == base64.b64decode(mine)


def numbers(theirs: Any, mine: Any) -> bool:
    return struct.pack(f"<{len(theirs)}f", *theirs) == base64.b64decode(mine)


def default_for_null(theirs: Any, mine: Any) -> bool:
    return mine is None and theirs == "Bonn"


DIFFERENCES: list[tuple[str, str, Callable[[Any, Any], bool]]] = [
    ("`BIGINT UNSIGNED` from 2^63 on", r"bigint.*unsigned", wrapped),
    ("`FLOAT`", r"float", rounded),
    ("dates that no calendar has", r"date|datetime|timestamp", no_date),
    ("years before 100", r"date|datetime", early),
    ("zeros that end a fraction of a second", r"time|datetime|timestamp", short_fraction),
    ("`TIME` below zero, or from 24:00:00 on", r"time\b", beyond_a_day),
    ("`YEAR` 0", r"year", year_zero),
    ("numbers in JSON", r"json", other_digits),
    ("binary values in JSON", r"json", named_bytes),
    ("negative `TIME` in JSON", r"json", negative_in_json),
    ("bytes of latin1 that cp1252 leaves free", r".*char|.*text", no_character),
    ("letters of koi8u that koi8r lacks", r".*char|.*text", other_characters),
    ("`GEOMETRY` and its kinds", r"point|.*geometry|.*linestring|.*polygon|.*collection|multi.*", geometry),
    ("`VECTOR`", r"vector", numbers),
    ("NULL in a column that has a default", r"varchar", default_for_null),
]
"""(the words of the page, the type of the column, what of theirs may stand for what of ours)"""
OUTSIDE = {
    "`ts_us`, `ts_ns` beside `ts_ms`": {"ts_us", "ts_ns"},
    "`ts_ms`": {"ts_ms"},
    "`source.version`": {"source.version"},
    "`source.thread`": {"source.thread"},
    "`source.row`": {"source.row"},
    "`transaction` orders behind a changed key": {"transaction"},
}
"""What differs in every record, by the words of the page."""


def why(type_: str, theirs: Any, mine: Any) -> str:
    """By which documented difference two values are the same; empty where by none."""
    for words, types_, explains in DIFFERENCES:
        if re.match(types_, type_):
            try:
                if explains(theirs, mine):
                    return words
            except (TypeError, ValueError, KeyError, AttributeError, struct.error):
                continue
    return ""


def flat(value: Any) -> dict[str, Any]:
    """An envelope without its rows, parts of its parts by name."""
    rest = {name: part for name, part in value.items() if name not in ("before", "after", "source")}
    return rest | {f"source.{name}": part for name, part in value["source"].items()}


def test_the_same_records_in_the_same_order(both: Both) -> None:
    assert set(both.theirs) == set(both.ours) == {f"future.{DATABASE}.{table}" for table in KEYS}
    for topic, theirs in both.theirs.items():
        told = [(key, value and value["op"]) for key, value in theirs]
        assert told == [(key, value and value["op"]) for key, value in both.ours[topic]]
        assert {op for _, op in told} >= {"c", "u"}
    assert ({"id": 3}, None) in both.ours[f"future.{DATABASE}.t"]


def test_every_value_is_the_same_or_its_difference_is_documented(both: Both) -> None:
    met, wrong = set(), []
    for topic, theirs in both.theirs.items():
        types_ = both.types[topic.rpartition(".")[2]]
        for (key, value), (_, mine) in zip(theirs, both.ours[topic], strict=True):
            for side in ("before", "after"):
                if value is None or value[side] is None:
                    assert mine is None or mine[side] is None
                    continue
                assert list(value[side]) == list(mine[side])
                for name, cell in value[side].items():
                    if repr(cell) == repr(mine[side][name]):
                        continue
                    words = why(types_[name], cell, mine[side][name])
                    met.add(words)
                    if not words:
                        wrong.append((key, side, name, cell, mine[side][name]))
    assert {(name, theirs, mine) for _, _, name, theirs, mine in wrong} == set()
    assert met == {words for words, _, _ in DIFFERENCES}


def moved(ours: dict[str, list[tuple[Any, Any]]]) -> set[str]:
    """The transactions in which a key changed: a delete and a create have the same order there."""
    orders = [value["transaction"].values() for told in ours.values() for _, value in told if value is not None]
    seen = Counter((id_, total) for id_, total, _ in orders)
    return {id_ for (id_, _), times in seen.items() if times > 1}


def test_what_stands_around_the_rows_is_the_same_or_documented(both: Both) -> None:
    met, keys_changed = set(), moved(both.ours)
    for topic, theirs in both.theirs.items():
        for (_, value), (_, mine) in zip(theirs, both.ours[topic], strict=True):
            if value is not None:
                one, other = flat(value), flat(mine)
                met |= {name for name in one | other if one.get(name, "absent") != other.get(name, "absent")}
                assert one["transaction"]["id"] == other["transaction"]["id"]
                assert one["transaction"] == other["transaction"] or other["transaction"]["id"] in keys_changed
    assert met == set().union(*OUTSIDE.values())


@pytest.mark.parametrize("words", [*(words for words, _, _ in DIFFERENCES), *OUTSIDE])
def test_the_page_tells_of_every_difference(words: str) -> None:
    told = [line.split("|")[1].strip() for line in DOCS.read_text().splitlines() if line.startswith("|")]
    assert words in told
