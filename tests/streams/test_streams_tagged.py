"""Tagged GTIDs of a real server: read and asked for again anywhere, with the same positions."""

import json
from typing import Any, Protocol

import pytest
from streams_logged import sent
from streams_readers import NATIVE, Outcome, World, topology

from changes.gtid import MysqlGtids
from streams.capture.snapshot import binlog_end, executed
from streams.describe import collations_of
from streams.mysql import MysqlUrl, session

pytestmark = NATIVE

DATABASE = "tagged"
TAGS = ("", "", "night", "", "night_2", "night", "", "_", "night_2", "")


class Running(Protocol):
    """The stack that the session shares."""

    admin: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def root(stack: Running) -> MysqlUrl:
    return MysqlUrl.parse(stack.admin["future"]["mysql"])


def read(root: MysqlUrl, from_: MysqlGtids, place: tuple[str, int]) -> Outcome:
    """What both readers make of all that ``from_`` lacks, as a capture makes it that begins there."""
    with session(root) as connection:
        world = World(topology(DATABASE, "t"), collations_of(connection), from_.copy())
    plain, native = world.outcomes([sent(root, from_.copy(), *place)])
    assert plain.error is None
    assert native == plain
    return plain


def test_positions_grow_and_are_the_same_wherever_reading_begins(root: MysqlUrl) -> None:
    seen: list[MysqlGtids] = []
    with session(root) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {DATABASE}")
        try:
            cursor.execute(f"CREATE TABLE {DATABASE}.t (id INT PRIMARY KEY, tag TEXT)")
            for number, tag in enumerate(TAGS):
                seen.append(gtids(executed(connection, mariadb=False)))
                cursor.execute(f"SET gtid_next = 'AUTOMATIC{f':{tag}' if tag else ''}'")
                cursor.execute(f"INSERT INTO {DATABASE}.t VALUES ({number}, '{tag}')")
            cursor.execute("SET gtid_next = 'AUTOMATIC'")
            end, place = gtids(executed(connection, mariadb=False)), binlog_end(cursor)
            whole = read(root, seen[0], place)
            positions = [record[3] for record in whole.records]
            assert positions == sorted(set(positions))
            assert [told(record)["after"]["tag"] for record in whole.records] == list(TAGS)
            for record in whole.records:
                tag, gtid = told(record)["after"]["tag"], told(record)["source"]["gtid"].split(":")
                assert gtid[1:-1] == ([tag] if tag else [])
            for begun, from_ in enumerate(seen[1:], 1):
                assert read(root, from_, place).records == whole.records[begun:]
            for origin, first, last in whole.finished:
                seen[0].extend(origin, first, last)
            assert seen[0] == end
            assert whole.states[-1]["ordinal"] == end.ordinal
        finally:
            cursor.execute("SET gtid_next = 'AUTOMATIC'")
            cursor.execute(f"DROP DATABASE {DATABASE}")


def gtids(found: Any) -> MysqlGtids:
    assert isinstance(found, MysqlGtids)
    return found


def told(record: Any) -> Any:
    return json.loads(record[2] or b"null")
