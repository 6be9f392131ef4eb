"""Partial JSON updates of a real server: the row after is what a SELECT gives, in both readers."""

import json
import random
from collections.abc import Iterator
from typing import Any, Protocol

from streams_logged import sent
from streams_readers import NATIVE, World, topology

from changes.gtid import MysqlGtids
from streams.binlog import events
from streams.binlog.jsonb import compact
from streams.binlog.packets import Packets
from streams.capture.select import TEXT_PROTOCOL
from streams.capture.snapshot import binlog_end, executed
from streams.describe import collations_of
from streams.mysql import MysqlUrl, session

pytestmark = NATIVE

DATABASE = "partial_json"
ROWS = 12
UPDATES = 400
PAD = "x" * 300


class Running(Protocol):
    """The stack that the session shares."""

    admin: dict[str, dict[str, str]]


def value(rng: random.Random, depth: int = 0) -> Any:
    if depth < 3 and rng.random() < 0.5:
        inner = [value(rng, depth + 1) for _ in range(rng.randrange(4))]
        return inner if rng.random() < 0.5 else {rng.choice(NAMES): item for item in inner}
    return rng.choice(
        (None, True, rng.randrange(-(2**40), 2**40), rng.random(), 1e300, "é😀"[: rng.randrange(3)], PAD, "short")
    )


NAMES = ("a", "b", "cc", "d e", 'q"t', "é", "", "a.b", "[0]", "long" * 20, "\\", "\n")


def paths(found: Any, path: str = "$") -> Iterator[str]:
    """Paths to what is there, and to places beside it."""
    entries = (
        [(f".{json.dumps(name, ensure_ascii=False)}", inner) for name, inner in found.items()]
        if isinstance(found, dict)
        else [(f"[{index}]", inner) for index, inner in enumerate(found)]
        if isinstance(found, list)
        else []
    )
    for leg, inner in entries:
        yield path + leg
        yield from paths(inner, path + leg)
    if isinstance(found, dict):
        yield from (f"{path}.{json.dumps(name, ensure_ascii=False)}" for name in NAMES)
    elif isinstance(found, list):
        yield from (f"{path}[{len(found)}]", f"{path}[last]", f"{path}[last-1]", f"{path}[99]")
    else:
        yield f"{path}[0]"
        yield f"{path}[1]"


def expression(rng: random.Random, doc: Any) -> tuple[str, list[Any]]:
    """SQL that changes the document ``d``, and its arguments."""
    sql, arguments = "d", []
    for _ in range(rng.choice((1, 1, 2, 3))):
        function = rng.choice(("JSON_SET", "JSON_SET", "JSON_REPLACE", "JSON_REMOVE"))
        parts = []
        for _ in range(rng.choice((1, 1, 2))):
            path = rng.choice(list(paths(doc)))
            if function == "JSON_REMOVE":
                parts.append("%s")
                arguments.append(path)
            else:
                parts.append("%s, CAST(%s AS JSON)")
                arguments += [path, json.dumps(value(rng))]
        sql = f"{function}({sql}, {', '.join(parts)})"
    return sql, arguments


def test_the_row_after_every_update_is_what_a_select_gives(stack: Running) -> None:
    root, rng = MysqlUrl.parse(stack.admin["future"]["mysql"]), random.Random(20260501)
    wanted: list[tuple[int, str, str]] = []
    with session(root, conv=TEXT_PROTOCOL) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
        try:
            cursor.execute(f"CREATE TABLE {DATABASE}.t (id INT PRIMARY KEY, n INT, d JSON, e JSON, word TEXT)")
            for id_ in range(ROWS):
                doc = {"pad": PAD * 4, "list": [1, "two", [3]], "map": {"a": 1, "b": {"cc": [True, None]}}}
                cursor.execute(f"INSERT INTO {DATABASE}.t VALUES (%s, 0, %s, '[1, 2]', 'w')", (id_, json.dumps(doc)))
            start = executed(connection, mariadb=False)
            cursor.execute("SET binlog_row_value_options = 'PARTIAL_JSON'")
            for number in range(UPDATES):
                id_ = rng.randrange(ROWS)
                cursor.execute(f"SET binlog_transaction_compression = {number % 2}")
                cursor.execute(f"SELECT d FROM {DATABASE}.t WHERE id = %s", (id_,))
                sql, arguments = expression(rng, json.loads((cursor.fetchone() or ("null",))[0]))
                other = ", e = JSON_SET(e, '$[0]', n)" if rng.random() < 0.3 else ""
                cursor.execute(f"UPDATE {DATABASE}.t SET d = {sql}{other}, n = n + 1 WHERE id = %s", (*arguments, id_))
                cursor.execute(f"SELECT n, d, e FROM {DATABASE}.t WHERE id = %s", (id_,))
                n, d, e = cursor.fetchone() or ()
                wanted.append((int(n), compact(d), compact(e)))
            cursor.execute(f"UPDATE {DATABASE}.t SET d = JSON_REMOVE(d, '$.list'), n = -1 ORDER BY id")
            cursor.execute(f"SELECT n, d, e FROM {DATABASE}.t ORDER BY id")
            wanted += [(int(n), compact(d), compact(e)) for n, d, e in cursor.fetchall()]
            assert isinstance(start, MysqlGtids)
            raw = sent(root, start.copy(), *binlog_end(cursor))
            world = World(topology(DATABASE, "t"), collations_of(connection), start)
        finally:
            cursor.execute(f"DROP DATABASE {DATABASE}")
    plain, native = world.outcomes([raw])
    assert plain.error is None
    assert native == plain
    rows = [json.loads(value or b"null")["after"] for _, _, value, _, _ in plain.records]
    assert [(row["n"], row["d"], row["e"]) for row in rows] == wanted
    assert partial(raw) > UPDATES // 2


def partial(raw: bytes) -> int:
    """How many events of partial updates there are."""
    found = 0
    for packet in Packets().feed(raw):
        event = events.without_checksum(packet[1:])
        inner = events.payload(event) if event[4] == events.PAYLOAD else [event]
        found += sum(data[4] == events.PARTIAL_UPDATE for data in inner)
    return found
