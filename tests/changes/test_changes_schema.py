"""Column kinds, what their types say, and the fingerprint that is frozen."""

import pytest

from changes.errors import Misconfigured
from changes.schema import Column, Kind, TableSchema, kind_of

JOBS = TableSchema(
    "jobfirst_future",
    "jobs",
    (
        Column("id", Kind.INTEGER, "bigint unsigned", False),
        Column("title", Kind.TEXT, "varchar(200)", False),
        Column("salary", Kind.DECIMAL, "decimal(10,2)"),
        Column("posted_at", Kind.TIMESTAMP, "timestamp(6)"),
    ),
    ("id",),
)


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        *((word, Kind.INTEGER) for word in ("tinyint", "smallint unsigned", "mediumint", "int(11)", "bigint", "year")),
        ("decimal(65,30)", Kind.DECIMAL),
        ("float", Kind.DOUBLE),
        ("double(10,2)", Kind.DOUBLE),
        *((word, Kind.TEXT) for word in ("char(3)", "varchar(20)", "tinytext", "text", "mediumtext", "longtext")),
        ("enum('a','b')", Kind.TEXT),
        ("set('a','b')", Kind.TEXT),
        *((word, Kind.BYTES) for word in ("binary(5)", "varbinary(9)", "tinyblob", "blob", "mediumblob", "longblob")),
        ("bit", Kind.BOOLEAN),
        ("bit(1)", Kind.BOOLEAN),
        ("bit(2)", Kind.BYTES),
        ("vector(3)", Kind.BYTES),
        ("point", Kind.BYTES),
        ("geomcollection", Kind.BYTES),
        ("date", Kind.DATE),
        ("time(3)", Kind.TIME),
        ("datetime(6)", Kind.DATETIME),
        ("timestamp", Kind.TIMESTAMP),
        ("json", Kind.JSON),
        ("VARCHAR(20)", Kind.TEXT),
    ],
)
def test_every_mysql_type_has_its_kind(type_: str, kind: Kind) -> None:
    assert kind_of(type_) is kind


def test_an_unknown_type_is_refused_by_name() -> None:
    with pytest.raises(Misconfigured, match=r"^the column type `inet6` is not supported$"):
        kind_of("inet6")


@pytest.mark.parametrize(
    ("type_", "arguments", "base", "unsigned"),
    [
        ("bigint unsigned", (), "bigint", True),
        ("decimal(10,2)", (10, 2), "decimal", False),
        ("decimal(10,2) unsigned", (10, 2), "decimal", True),
        ("varchar(255)", (255,), "varchar", False),
        ("datetime(6)", (6,), "datetime", False),
        ("datetime", (), "datetime", False),
        ("enum('1','2')", (), "enum", False),
        ("set('x unsigned')", (), "set", False),
        ("bit(64)", (64,), "bit", False),
    ],
)
def test_a_type_tells_its_arguments_its_word_and_its_sign(
    type_: str, arguments: tuple[int, ...], base: str, unsigned: bool
) -> None:
    column = Column("c", kind_of(type_), type_)
    assert (column.arguments, column.base_type, column.unsigned) == (arguments, base, unsigned)


def test_the_fingerprint_is_frozen() -> None:
    assert JOBS.fingerprint == "c3ae14acdafa0aab"


def test_the_fingerprint_is_of_columns_and_key_and_nothing_else() -> None:
    assert TableSchema("elsewhere", "other", JOBS.columns, JOBS.key).fingerprint == JOBS.fingerprint
    changed = [
        TableSchema(JOBS.database, JOBS.table, JOBS.columns[:-1], JOBS.key),
        TableSchema(JOBS.database, JOBS.table, JOBS.columns[::-1], JOBS.key),
        TableSchema(JOBS.database, JOBS.table, JOBS.columns, ("id", "title")),
        TableSchema(
            JOBS.database, JOBS.table, (Column("id", Kind.INTEGER, "bigint", False), *JOBS.columns[1:]), JOBS.key
        ),
    ]
    assert len({JOBS.fingerprint, *(schema.fingerprint for schema in changed)}) == len(changed) + 1


def test_a_column_is_found_by_name_and_a_missing_one_is_named() -> None:
    assert JOBS.column("salary").type == "decimal(10,2)"
    with pytest.raises(Misconfigured, match=r"^table `jobs` has no column `wage`$"):
        JOBS.column("wage")
