"""The statement for the rows behind a key, and values of the text protocol in envelope form."""

from decimal import Decimal

import pytest

from changes.canonical import Value
from changes.schema import Column, Kind, TableSchema, kind_of
from streams.capture.select import explain, reader_of, select_after
from streams.describe import binlog_type, captured


def schema(**types: str) -> TableSchema:
    return TableSchema("d", "t", tuple(Column(name, kind_of(type_), type_) for name, type_ in types.items()), ())


PLAIN = schema(a="int", b="varchar(9)", c="date")


@pytest.mark.parametrize(
    ("key", "after", "limit", "sql", "arguments"),
    [
        (("a",), None, 10, "SELECT `a`, `b`, `c` FROM `d`.`t` ORDER BY `a` LIMIT 10", []),
        (("a",), None, None, "SELECT `a`, `b`, `c` FROM `d`.`t` ORDER BY `a`", []),
        (("a",), (7,), 10, "SELECT `a`, `b`, `c` FROM `d`.`t` WHERE (`a` > %s) ORDER BY `a` LIMIT 10", [7]),
        (
            ("b", "a"),
            ("x", 7),
            2,
            "SELECT `a`, `b`, `c` FROM `d`.`t` WHERE (`b` > %s) OR (`b` = %s AND `a` > %s) ORDER BY `b`, `a` LIMIT 2",
            ["x", "x", 7],
        ),
        (
            ("a", "b", "c"),
            (1, "x", "2026-01-02Z"),
            2,
            "SELECT `a`, `b`, `c` FROM `d`.`t` WHERE (`a` > %s) OR (`a` = %s AND `b` > %s)"
            " OR (`a` = %s AND `b` = %s AND `c` > %s) ORDER BY `a`, `b`, `c` LIMIT 2",
            [1, 1, "x", 1, "x", "2026-01-02"],
        ),
    ],
)
def test_rows_behind_a_key_are_asked_for_in_key_order(
    key: tuple[str, ...], after: tuple[Value, ...] | None, limit: int | None, sql: str, arguments: list[object]
) -> None:
    assert select_after(PLAIN, key, after, limit) == (sql, arguments)


def test_a_float_is_read_as_its_double_and_a_vector_as_its_bytes() -> None:
    sql, _ = select_after(schema(id="int", ratio="float", vec="vector(3)"), ("id",), None, None)
    assert sql == "SELECT `id`, CAST(`ratio` AS DOUBLE), CAST(`vec` AS BINARY) FROM `d`.`t` ORDER BY `id`"


def test_names_are_quoted() -> None:
    odd = TableSchema("d`1", "t`2", (Column("a`3", Kind.INTEGER, "int"),), ())
    sql, _ = select_after(odd, ("a`3",), (1,), None)
    assert sql == "SELECT `a``3` FROM `d``1`.`t``2` WHERE (`a``3` > %s) ORDER BY `a``3`"


@pytest.mark.parametrize(
    ("type_", "envelope", "argument"),
    [
        ("varbinary(9)", "AP8=", b"\x00\xff"),
        ("datetime(3)", "2026-01-02T03:04:05.060Z", "2026-01-02 03:04:05.060"),
        ("timestamp", "2026-01-02T03:04:05Z", "2026-01-02 03:04:05"),
        ("date", "2026-01-02Z", "2026-01-02"),
        ("time", "-01:02:03Z", "-01:02:03"),
        ("varchar(9)", "TZ", "TZ"),
        ("decimal(38,2)", "12345678901234567890.50", Decimal("12345678901234567890.50")),
        ("bit(9)", "AAE=", 256),
        ("enum('b','a''s')", "a's", 2),
        ("enum('b','a')", "", 0),
        ("set('x','y','z')", "x,z", 5),
        ("bigint unsigned", 2**64 - 1, 2**64 - 1),
    ],
)
def test_a_key_in_envelope_form_becomes_what_mysql_compares_with(type_: str, envelope: Value, argument: object) -> None:
    assert select_after(schema(k=type_), ("k",), (envelope,), None)[1] == [argument]


@pytest.mark.parametrize(
    ("type_", "selected", "envelope"),
    [
        ("int", "-7", -7),
        ("bigint unsigned", "18446744073709551615", 2**64 - 1),
        ("decimal(9,2)", "1.50", "1.50"),
        ("double", "1e22", 1e22),
        ("varchar(9)", "é", "é"),
        ("blob", b"\x00\xff", "AP8="),
        ("bit(1)", b"\0", False),
        ("bit(1)", b"\1", True),
        ("bit(10)", b"\2\1", "AQI="),
        ("date", "0000-00-00", "0000-00-00Z"),
        ("time(2)", "-838:59:58.50", "-838:59:58.50Z"),
        ("datetime", "2026-01-02 03:04:05", "2026-01-02T03:04:05Z"),
        ("timestamp(3)", "2026-01-02 03:04:05.060", "2026-01-02T03:04:05.060Z"),
        ("json", '{"a": [1, 2.50]}', '{"a":[1,2.50]}'),
    ],
)
def test_a_selected_value_takes_its_envelope_form(type_: str, selected: object, envelope: Value) -> None:
    assert reader_of(Column("c", kind_of(type_), type_))(selected) == envelope


@pytest.mark.parametrize(
    ("told", "type_"),
    [
        ("int(11)", "int"),
        ("int(10) unsigned zerofill", "int unsigned"),
        ("tinyint(1)", "tinyint"),
        ("bigint(20) unsigned", "bigint unsigned"),
        ("float(7,4)", "float"),
        ("double unsigned", "double"),
        ("float unsigned", "float"),
        ("decimal(10,2) unsigned", "decimal(10,2) unsigned"),
        ("year(4)", "year"),
        ("bit", "bit(1)"),
        ("varchar(20)", "varchar(20)"),
        ("enum('A zerofill','B')", "enum('A zerofill','B')"),
        ("set('X')", "set('X')"),
        ("datetime(6)", "datetime(6)"),
    ],
)
def test_a_declared_type_is_told_as_the_binlog_can_tell_it(told: str, type_: str) -> None:
    assert binlog_type(told) == type_


def test_what_leaves_mysql_has_no_dropped_columns_and_the_declared_key() -> None:
    kept = captured(PLAIN, ("a",), frozenset({"b"}))
    assert ([column.name for column in kept.columns], kept.key) == (["a", "c"], ("a",))


def test_a_predicate_stands_by_itself_whatever_it_ends_with() -> None:
    sql, arguments = select_after(PLAIN, ("a",), (7,), 10, "b LIKE 'x%' OR c IS NULL -- old")
    assert sql == (
        "SELECT `a`, `b`, `c` FROM `d`.`t`"
        " WHERE (b LIKE 'x%%' OR c IS NULL -- old\n) AND ((`a` > %s)) ORDER BY `a` LIMIT 10"
    )
    assert arguments == [7]
    assert explain(PLAIN, "a > 1") == "EXPLAIN FORMAT=TRADITIONAL SELECT * FROM `d`.`t` WHERE (a > 1\n)"
    assert explain(PLAIN, "") == "EXPLAIN FORMAT=TRADITIONAL SELECT * FROM `d`.`t`"
