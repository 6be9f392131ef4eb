"""Every MySQL type at its extremes: both readers of the binlog and SELECT agree, and say what was stored."""

import json
from typing import Protocol

import pytest
from streams_every import DERIVED, EVERY, Read, case, differing, json_case, read
from streams_readers import NATIVE

from streams.mysql import MysqlUrl


class Running(Protocol):
    """The stack that the session shares."""

    admin: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def found(stack: Running) -> Read:
    return read(MysqlUrl.parse(stack.admin["future"]["mysql"]), EVERY, DERIVED, mariadb=False)


def test_the_binlog_gives_what_was_stored(found: Read) -> None:
    assert differing(found.logged, found.expected) == {}


@NATIVE
def test_both_readers_write_what_was_stored(found: Read) -> None:
    for outcome in found.world.outcomes([found.raw]):
        assert outcome.error is None
        rows = [json.loads(value or b"null")["after"] for _, _, value, _, _ in outcome.records]
        assert differing(rows, found.expected) == {}


def test_a_select_gives_what_was_stored(found: Read) -> None:
    assert differing(found.selected, found.expected) == {}


def test_a_snapshot_row_is_its_binlog_row_byte_for_byte(found: Read) -> None:
    assert differing(found.selected, found.logged) == {}


def test_the_schema_that_comes_with_the_rows_is_the_one_that_the_server_describes(found: Read) -> None:
    assert [column for column in found.mapped.columns if column not in found.described.columns] == []
    assert found.mapped == found.described


@pytest.mark.parametrize(("zone", "stored"), [("+05:30", "2025-12-31T18:30:00Z"), ("-08:00", "2026-01-01T08:00:00Z")])
def test_a_timestamp_is_the_same_moment_in_every_time_zone_and_a_datetime_is_not(
    stack: Running, zone: str, stored: str
) -> None:
    every = {
        "at": case("datetime", ("'2026-01-01 00:00:00'", "2026-01-01T00:00:00Z")),
        "stamp": case("timestamp null", ("'2026-01-01 00:00:00'", stored)),
    }
    found = read(MysqlUrl.parse(stack.admin["future"]["mysql"]), every, {}, mariadb=False, zone=zone)
    assert differing(found.logged, found.expected) == {}
    assert differing(found.selected, found.expected) == {}


@NATIVE
@pytest.mark.long
def test_json_of_16_mb_is_the_same_by_all_ways(stack: Running) -> None:
    """One string of that size, and values enough that the containers take their large form."""
    item, count = '{"k": [1, 2.5, "é"]},', 20_000
    text = "[" + item.replace(": ", ":").replace(", ", ",") * count + "1]"
    string = "x" * (16 << 20)
    every = {
        "doc": json_case(
            ("JSON_ARRAY(REPEAT('x', 16 << 20))", f'["{string}"]'),
            (f"CAST(CONCAT('[', REPEAT('{item}', {count}), '1]') AS JSON)", text),
        )
    }
    found = read(MysqlUrl.parse(stack.admin["future"]["mysql"]), every, {}, mariadb=False)
    for rows in (found.logged, found.selected):
        assert [row["doc"] == wanted["doc"] for row, wanted in zip(rows, found.expected, strict=True)] == [True] * 3
    for outcome in found.world.outcomes([found.raw]):
        rows = [json.loads(value or b"null")["after"] for _, _, value, _, _ in outcome.records]
        assert [row["doc"] == wanted["doc"] for row, wanted in zip(rows, found.expected, strict=True)] == [True] * 3
