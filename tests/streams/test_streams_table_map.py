"""Table maps: the schema that comes with the rows."""

import pytest
from streams_events import CAPTURED, COLLATIONS, event, table

from changes.errors import Misconfigured
from changes.schema import Column, Kind, TableSchema
from streams.binlog import events
from streams.binlog.charsets import Collations
from streams.binlog.lengths import lenenc
from streams.binlog.table_map import parse_table_map, peek_name

EVERYTHING = TableSchema(
    "kinds",
    "everything",
    (
        Column("id", Kind.INTEGER, "bigint unsigned", False),
        Column("tiny", Kind.INTEGER, "tinyint"),
        Column("tiny_u", Kind.INTEGER, "tinyint unsigned"),
        Column("small", Kind.INTEGER, "smallint"),
        Column("medium", Kind.INTEGER, "mediumint"),
        Column("medium_u", Kind.INTEGER, "mediumint unsigned"),
        Column("number", Kind.INTEGER, "int"),
        Column("price", Kind.DECIMAL, "decimal(20,4)"),
        Column("ratio", Kind.DOUBLE, "float"),
        Column("exact_ratio", Kind.DOUBLE, "double"),
        Column("flag", Kind.BOOLEAN, "bit(1)"),
        Column("flags", Kind.BYTES, "bit(10)"),
        Column("day", Kind.DATE, "date"),
        Column("clock", Kind.TIME, "time(3)"),
        Column("at", Kind.DATETIME, "datetime(6)"),
        Column("stamp", Kind.TIMESTAMP, "timestamp(3)"),
        Column("born", Kind.INTEGER, "year"),
        Column("code", Kind.TEXT, "char(4)"),
        Column("name", Kind.TEXT, "varchar(100)"),
        Column("latin", Kind.TEXT, "varchar(300)"),
        Column("chinese", Kind.TEXT, "varchar(20)"),
        Column("fixed", Kind.BYTES, "binary(5)"),
        Column("raw", Kind.BYTES, "varbinary(300)"),
        Column("note", Kind.TEXT, "text"),
        Column("picture", Kind.BYTES, "blob"),
        Column("level", Kind.TEXT, "enum('junior','it''s','高级')"),
        Column("tags", Kind.TEXT, "set('a','b','c')"),
        Column("doc", Kind.JSON, "json"),
        Column("vec", Kind.BYTES, "vector(2)"),
    ),
    (),
)


def test_a_captured_map_tells_names_types_signs_lengths_members_and_nullability() -> None:
    assert table().schema == EVERYTHING


def test_a_map_names_its_table() -> None:
    found = table()
    assert (found.database, found.table) == ("kinds", "everything")
    assert peek_name(CAPTURED["table_map"][0], events.HEADER) == (found.table_id, "kinds", "everything")


def mapped(types: bytes, metadata: bytes, optional: dict[int, bytes]) -> bytes:
    count = len(types)
    body = (7).to_bytes(6, "little") + bytes(2) + b"\1d\0" + b"\1t\0" + bytes([count]) + types
    body += bytes([len(metadata)]) + metadata + bytes((count + 7) // 8)
    body += b"".join(bytes([kind, len(data)]) + data for kind, data in optional.items())
    return event(events.TABLE_MAP, body)


def columns(types: bytes, metadata: bytes, optional: dict[int, bytes]) -> list[tuple[str, str]]:
    parsed = parse_table_map(mapped(types, metadata, optional), events.HEADER, COLLATIONS)
    return [(column.name, column.type) for column in parsed.schema.columns]


NAMES = b"\1a\1b"


def test_a_map_without_names_is_refused_with_the_setting_to_change() -> None:
    with pytest.raises(Misconfigured, match=r"no columns of `d`\.`t`: SET PERSIST binlog_row_metadata = 'FULL'"):
        columns(b"\3\3", b"", {1: b"\0"})


def test_signs_are_told_of_numeric_columns_only() -> None:
    assert columns(b"\3\x0a\x08", b"", {1: b"\x40", 4: b"\1a\1b\1c"}) == [
        ("a", "int"),
        ("b", "date"),
        ("c", "bigint unsigned"),
    ]


def test_a_year_counts_among_the_numeric_columns() -> None:
    assert columns(b"\x0d\x03\x03", b"", {1: b"\xa0", 4: b"\1a\1b\1c"}) == [
        ("a", "year"),
        ("b", "int"),
        ("c", "int unsigned"),
    ]


def test_a_vector_counts_among_the_columns_that_have_collations() -> None:
    optional = {3: b"\x3f\x08", 4: NAMES, 13: b"\3"}
    assert columns(b"\xf2\xfc", b"\4\2", optional) == [("a", "vector(3)"), ("b", "text")]


@pytest.mark.parametrize(("mariadb", "listed"), [(False, b"\x2d"), (True, b"\x3f\x2d")])
def test_a_geometry_has_a_collation_in_mariadb_alone(mariadb: bool, listed: bytes) -> None:
    collations = Collations([(45, "utf8mb4", 4)], of_geometry=mariadb)
    data = mapped(b"\xff\xfc", b"\4\2", {3: listed, 4: NAMES, 7: b"\1"})
    parsed = parse_table_map(data, events.HEADER, collations)
    assert [column.type for column in parsed.schema.columns] == ["point", "text"]


def test_a_default_collation_holds_but_for_the_columns_named() -> None:
    assert columns(b"\xfc\xfc", b"\2\2", {2: b"\x2d\1\x3f", 4: NAMES}) == [("a", "text"), ("b", "blob")]


def test_columns_may_each_tell_their_collation() -> None:
    assert columns(b"\xfc\xfc", b"\1\4", {3: b"\x3f\x2d", 4: NAMES}) == [("a", "tinyblob"), ("b", "longtext")]


def test_the_length_of_a_text_counts_characters_of_its_charset() -> None:
    optional = {3: b"\x2d\x08", 4: NAMES}
    assert columns(b"\x0f\x0f", b"\x28\0\x28\0", optional) == [("a", "varchar(10)"), ("b", "varchar(40)")]


def test_a_char_of_more_than_255_bytes_is_read_from_the_bits_that_its_length_borrows() -> None:
    assert columns(b"\xfe", b"\xee\xfc", {2: b"\x2d", 4: b"\1a"}) == [("a", "char(127)")]


def test_an_enum_whose_members_hold_quotes_is_spelled_as_the_server_spells_it() -> None:
    optional = {10: b"\x2d", 6: b"\2\4it's\1b", 4: b"\1a"}
    assert columns(b"\xfe", b"\xf7\1", optional) == [("a", "enum('it''s','b')")]


def test_metadata_that_is_not_known_is_passed_over() -> None:
    assert columns(b"\3", b"", {1: b"\0", 4: b"\1a", 99: b"later"}) == [("a", "int")]


def test_an_unknown_column_type_is_refused_by_its_column() -> None:
    with pytest.raises(Misconfigured, match="column `a` has the binlog type 141, which is not supported"):
        columns(b"\x8d", b"", {4: b"\1a"})


def test_a_collation_that_the_server_does_not_list_is_refused() -> None:
    with pytest.raises(Misconfigured, match="collation number 45"):
        parse_table_map(mapped(b"\xfc", b"\2", {2: b"\x2d", 4: b"\1a"}), events.HEADER, Collations([]))


@pytest.mark.parametrize(
    ("data", "number", "end"),
    [("00", 0, 1), ("fa", 250, 1), ("fcfb00", 251, 3), ("fdffff01", 131071, 4), ("fe0000000001000000", 2**32, 9)],
)
def test_length_encoded_integers_are_read_in_all_their_widths(data: str, number: int, end: int) -> None:
    assert lenenc(bytes.fromhex(data) + b"\xaa", 0) == (number, end)


@pytest.mark.parametrize("data", ["fb", "ff", "", "fc00", "fe00000000"])
def test_a_broken_length_is_refused(data: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        lenenc(bytes.fromhex(data), 0)
