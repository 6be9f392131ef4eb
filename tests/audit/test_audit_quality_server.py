"""The rules on real servers: rows that break each of them once, counted exactly, and nothing of them told but keys."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pymysql
import pytest

from audit.quality import EXAMPLES, Counted
from audit.qualityscan import _restrict, scan
from changes.errors import Transient
from changes.topology import Topology, load
from streams.mysql import MysqlUrl, session
from streams.preflight import Flavour

DATABASE = "quality_of"
SECRET = "ann@example.com"

TABLES = (
    """CREATE TABLE people (
        id BIGINT PRIMARY KEY, name VARCHAR(50) NOT NULL, email VARCHAR(255), site VARCHAR(255), phone VARCHAR(40),
        role ENUM('admin', 'user'), about JSON, settings TEXT, level VARCHAR(20), born DATE, photo BLOB,
        first_at DATETIME(6), last_at TIMESTAMP(3) NULL, score DOUBLE, firm_id BIGINT, country CHAR(2)
            ) CHARACTER SET utf8mb4""",
    "CREATE TABLE firms (id BIGINT PRIMARY KEY, name VARCHAR(50)) CHARACTER SET utf8mb4",
    "CREATE TABLE countries (code CHAR(2) PRIMARY KEY) CHARACTER SET utf8mb4",
    "CREATE TABLE pairs (a VARBINARY(8), b VARCHAR(50), `50% off` TEXT, PRIMARY KEY (a, b)) CHARACTER SET utf8mb4",
    "CREATE TABLE wide (id BIGINT PRIMARY KEY, n BIGINT NOT NULL) CHARACTER SET utf8mb4",
    "CREATE TABLE nothing (id BIGINT PRIMARY KEY, at DATE, email TEXT NOT NULL) CHARACTER SET utf8mb4",
)

DECLARED = f"""
versions:
  v: {{database: {DATABASE}, env: V_}}
tables:
  - table: people
    key: [id]
    columns: {{personal: [email, phone]}}
    quality:
      filled: [email, about, photo, born, gone]
      formats:
        email: email
        site: url
        phone: phone
        settings: json
        born: past
        level: [junior, senior]
        score: email
        lost: url
      ordered: [[first_at, last_at], [first_at, lost]]
      within: {{score: [0, 1], name: [0, 1]}}
      parents: {{firm_id: firms, country: countries.code, id: absent.id}}
      series: {{first_at: 1d, score: 1h}}
    sinks: [{{sink: redis, tier: realtime, place: 'x:{{id}}'}}]
  - table: firms
    key: [id]
    sinks: [{{sink: redis, tier: realtime, place: 'y:{{id}}'}}]
  - table: pairs
    key: [a, b]
    quality: {{filled: ["50% off"]}}
    sinks: [{{sink: redis, tier: realtime, place: 'z:{{a}}{{b}}'}}]
  - table: wide
    key: [id]
    columns: {{personal: [id]}}
    quality: {{within: {{n: [0, 1]}}}}
    sinks: [{{sink: redis, tier: realtime, place: 'w:{{id}}'}}]
  - table: nothing
    key: [id]
    quality: {{formats: {{email: email}}, series: {{at: 1d}}}}
    sinks: [{{sink: redis, tier: realtime, place: 'n:{{id}}'}}]
  - table: missing
    key: [id]
    sinks: [{{sink: redis, tier: realtime, place: 'm:{{id}}'}}]
"""

RIGHT: dict[str, Any] = {
    "name": "Ann",
    "email": SECRET,
    "site": "https://example.com/a?b#c",
    "phone": "+49 (30) 901820",
    "role": "user",
    "about": '{"a": 1}',
    "settings": "[1, null]",
    "level": "junior",
    "born": "1990-02-28",
    "photo": b"\xff\x00",
    "first_at": "2026-01-05 10:00:00.5",
    "last_at": "2026-01-05 10:00:00.5",
    "score": 0.5,
    "firm_id": 1,
    "country": "DE",
}
BLANK = dict.fromkeys(RIGHT, None) | {"name": "Bob"}

BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("completeness name", {"name": ""}),
    ("completeness name", {"name": "   "}),
    ("completeness about", {"about": "null"}),
    ("completeness photo", {"photo": b""}),
    ("format email: email", {"email": "ann"}),
    ("format email: email", {"email": "ann@example"}),
    ("format email: email", {"email": "ann@example.com\n"}),
    ("format email: email", {"email": "a b@example.com"}),
    ("format site: url", {"site": "example.com"}),
    ("format site: url", {"site": "ftp://example.com"}),
    ("format site: url", {"site": "http://a b"}),
    ("format phone: phone", {"phone": "none"}),
    ("format phone: phone", {"phone": "12"}),
    ("format role: enum", {"role": "nobody"}),
    ("format settings: json", {"settings": "{a: 1}"}),
    ("format level: one of junior, senior", {"level": "Junior"}),
    ("format born: past", {"born": "2090-01-01"}),
    ("format born: date", {"born": "1812-01-01"}),
    ("format born: date", {"born": "1990-00-00"}),
    ("format last_at: date", {"last_at": "0000-00-00 00:00:00"}),
    ("logic first_at <= last_at", {"last_at": "2026-01-05 10:00:00.4"}),
    ("logic 0 <= score <= 1", {"score": 1.5}),
    ("logic 0 <= score <= 1", {"score": -0.001}),
    ("logic firm_id in firms.id", {"firm_id": 77}),
    ("logic country in countries.code", {"country": "XX"}),
]
"""Rows that break one rule each; a zero time is before every other too."""

DAYS = ["2026-01-05", "2026-01-06", "2026-01-09"]
FLAWED = {
    "completeness gone": "`people` has no column `gone`",
    "format lost: url": "`people` has no column `lost`",
    "format score: email": "`people` has `score` as double: the rule is for texts",
    "logic first_at <= lost": "`people` has no column `lost`",
    "logic 0 <= name <= 1": "`people` has `name` as varchar(50): the rule is for numbers",
    "logic id in absent.id": "`people` needs its parents, and MySQL has no table `absent`",
    "series score: every 1h": "`people` has `score` as double: the rule is for dates",
}


@pytest.fixture(scope="module")
def root(either: MysqlUrl) -> Iterator[MysqlUrl]:
    with session(either) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {DATABASE}")
        cursor.execute(f"USE {DATABASE}")
        cursor.execute("SET SESSION sql_mode = ''")  # as a lax writer's: it lets all of this in
        for statement in TABLES:
            cursor.execute(statement)
        cursor.execute("INSERT INTO firms VALUES (1, '')")
        cursor.execute("INSERT INTO countries VALUES ('DE')")
        cursor.execute("INSERT INTO pairs VALUES (x'00ff', 'a\nb', NULL), (x'01', '\"%', ' ')")
        cursor.executemany("INSERT INTO wide VALUES (%s, %s)", [(number, number) for number in range(3000)])
        rows = [RIGHT, BLANK, *({**RIGHT, **broken} for _, broken in BROKEN), *({**RIGHT, "first_at": d} for d in DAYS)]
        for number, row in enumerate(rows):
            names = ", ".join(row)
            marks = ", ".join(["%s"] * len(row))
            cursor.execute(f"INSERT INTO people (id, {names}) VALUES ({number}, {marks})", list(row.values()))
    yield either
    with session(either) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {DATABASE}")


def topology() -> Topology:
    return load(DECLARED, "test", {"redis": lambda _: None})


def scanned(url: MysqlUrl, *tables: str, limit: float = 60.0) -> dict[str, Counted]:
    found = scan(url, topology(), "v", tables, limit=limit)
    return {f"{one.measure} {one.part}": one for one in found}


def test_every_broken_row_is_counted_by_its_rule_and_named(root: MysqlUrl) -> None:
    with session(root) as connection:
        mariadb = Flavour.of(connection).mariadb
    found = scanned(root, "people")
    whole = 2 + len(BROKEN) + len(DAYS)
    bad: dict[str, list[int]] = {}
    for number, (rule, _) in enumerate(BROKEN, 2):
        bad.setdefault(rule, []).append(number)
    zero = next(number for number, (_, row) in enumerate(BROKEN, 2) if "0000" in str(row.get("last_at")))
    bad["logic first_at <= last_at"].insert(0, zero)
    bad["logic first_at <= last_at"] += [whole - 2, whole - 1]  # the last days are behind `last_at`
    bad |= {f"completeness {name}": [1, *bad.get(f"completeness {name}", [])] for name in ("email", "about", "photo")}
    bad["completeness born"] = [1]
    if mariadb:  # its JSON is a text, and this one is not blank
        bad["completeness about"] = [1]
    counted = {rule: one for rule, one in found.items() if not one.reason and one.measure != "series"}
    assert {rule: [dict(key)["id"] for key in one.examples] for rule, one in counted.items() if one.examples} == {
        rule: numbers[:EXAMPLES] for rule, numbers in bad.items()
    }
    assert {rule: (one.total or 0) - one.good for rule, one in counted.items()} == {
        rule: len(bad.get(rule, ())) for rule in counted
    }
    optional = {rule for rule in counted if not rule.startswith("completeness")}
    assert {one.total for rule, one in counted.items() if rule not in optional} == {whole}
    assert {counted[rule].total for rule in optional} == {whole - 1}  # one row leaves all of them out
    assert set(bad) <= set(counted)


def test_a_series_counts_the_intervals_that_have_a_row(root: MysqlUrl) -> None:
    found = scanned(root, "people")["series first_at: every 1d"]
    assert (found.good, found.total) == (3, 5)


def test_a_rule_that_cannot_be_asked_is_unknown_and_says_why(root: MysqlUrl) -> None:
    found = {rule: one for rule, one in scanned(root, "people", "missing").items() if one.total is None}
    assert {rule: one.reason for rule, one in found.items()} == FLAWED | {
        "completeness ": "MySQL has no table `missing`"
    }


def test_keys_of_every_kind_are_told(root: MysqlUrl) -> None:
    found = scanned(root, "pairs")["completeness 50% off"]
    assert (found.good, found.total) == (0, 2)
    assert found.examples == [{"a": "00FF", "b": "a\nb"}, {"a": "01", "b": '"%'}]


def test_a_personal_key_is_not_told_and_long_lists_are_cut(root: MysqlUrl) -> None:
    hidden = scanned(root, "wide")["logic 0 <= n <= 1"]
    assert (hidden.good, hidden.total, list(hidden.examples)) == (2, 3000, [])
    shown = load(DECLARED.replace("personal: [id]", "personal: []"), "test", {"redis": lambda _: None})
    (rule,) = scan(root, shown, "v", ["wide"], limit=60)
    assert (rule.good, rule.total, rule.examples) == (2, 3000, [{"id": 2}, {"id": 3}, {"id": 4}])


def test_an_empty_table_counts_nothing(root: MysqlUrl) -> None:
    assert {(one.good, one.total) for one in scanned(root, "nothing").values()} == {(0, 0)}


def test_no_value_is_told(root: MysqlUrl) -> None:
    text = msgspec.json.encode(list(scanned(root, "people").values())).decode()
    assert [value for value in RIGHT.values() if isinstance(value, str) and len(value) > 8 and value in text] == []


def test_what_takes_too_long_is_unknown(root: MysqlUrl) -> None:
    with session(root) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE VIEW {DATABASE}.slow AS SELECT id, SLEEP(0.01) AS n FROM {DATABASE}.wide")
    try:
        declared = DECLARED.replace("- table: wide", "- table: slow")
        found = scan(root, load(declared, "test", {"redis": lambda _: None}), "v", ["slow", "firms"], limit=0.2)
        assert [(one.table, one.total, one.reason) for one in found] == [
            ("slow", None, "the look at `slow` took longer than was allowed")
        ]
    finally:
        with session(root) as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP VIEW {DATABASE}.slow")


def test_the_session_can_only_read(root: MysqlUrl) -> None:
    with session(root) as connection:
        _restrict(connection, 60)
        with connection.cursor() as cursor, pytest.raises(pymysql.err.MySQLError, match="READ ONLY"):
            cursor.execute(f"DELETE FROM {DATABASE}.firms")


def test_a_server_that_is_away_is_told_as_such(root: MysqlUrl) -> None:
    with pytest.raises(Transient):
        scan(replace(root, port=1), topology(), "v", ["firms"], limit=1)
