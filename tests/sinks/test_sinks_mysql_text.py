"""MySQL's statements, types and plans, by value."""

from dataclasses import replace

import pytest
from conformance import PLAIN, schema_of, target_of

from changes.errors import Misconfigured, Rejected, Transient
from changes.key import key_of
from changes.record import Record
from changes.schema import Column, kind_of
from sinks.sql.mysql import check
from sinks.sql.mysql.ddl import Found, plan
from sinks.sql.mysql.errors import classify
from sinks.sql.mysql.portion import Written
from sinks.sql.mysql.statements import chunks, lock, statements_of
from sinks.sql.mysql.types import joined, literal, type_of, value_of, widens
from sinks.sql.table import portions, table_of

TWO = schema_of(("id", "bigint"), ('o"dd', "json"), ("blob", "blob"))
TARGET = target_of("dao", "notes")
PAIR = schema_of(("a", "int"), ("b", "varchar(9)"), key=("b", "a"))
ROOM = 1 << 20


def column(type_: str) -> Column:
    return Column("c", kind_of(type_), type_)


@pytest.mark.parametrize(
    ("source", "here"),
    [
        ("tinyint(1)", "tinyint"),
        ("smallint unsigned", "smallint unsigned"),
        ("bigint unsigned", "bigint unsigned"),
        ("year", "smallint"),
        ("decimal(65,30)", "decimal(65,30)"),
        ("decimal(12,0) unsigned", "decimal(12,0)"),
        ("float", "double"),
        ("varchar(20)", "longtext"),
        ("enum('a','b')", "longtext"),
        ("binary(5)", "longblob"),
        ("bit(1)", "tinyint(1)"),
        ("bit(8)", "longblob"),
        ("datetime", "datetime(6)"),
        ("timestamp(3)", "timestamp(6)"),
        ("time", "time(6)"),
        ("json", "longtext"),
    ],
)
def test_column_types(source: str, here: str) -> None:
    assert type_of(column(source)) == here


@pytest.mark.parametrize(
    ("source", "here"),
    [
        ("varchar(20)", "varchar(20)"),
        ("char", "varchar(1)"),
        ("enum('ab','c')", "varchar(14)"),
        ("binary(16)", "varbinary(16)"),
        ("bit(12)", "varbinary(8)"),
        ("int unsigned", "int unsigned"),
    ],
)
def test_types_of_keys(source: str, here: str) -> None:
    assert type_of(column(source), key=True) == here


@pytest.mark.parametrize("source", ["text", "longblob", "json"])
def test_what_no_key_can_be(source: str) -> None:
    with pytest.raises(Misconfigured, match=f"`c` is a key of the type {source}"):
        type_of(column(source), key=True)


@pytest.mark.parametrize(
    ("old", "new", "answer"),
    [
        ("tinyint", "smallint", True),
        ("tinyint unsigned", "smallint", True),
        ("int", "int unsigned", False),
        ("int unsigned", "bigint", True),
        ("bigint unsigned", "decimal(20,0)", True),
        ("bigint", "decimal(18,0)", False),
        ("decimal(10,2)", "decimal(11,4)", False),
        ("varchar(20)", "varchar(30)", True),
        ("varchar(30)", "varchar(20)", False),
        ("int", "longtext", False),
        ("bigint", "bigint", False),
    ],
)
def test_which_types_may_be_widened(old: str, new: str, answer: bool) -> None:
    assert widens(old, new) is answer


@pytest.mark.parametrize(
    ("old", "new", "both"),
    [
        ("bigint", "bigint", "bigint"),
        ("int", "bigint", "bigint"),
        ("bigint", "int", "bigint"),
        ("int", "int unsigned", "decimal(10,0)"),
        ("tinyint", "smallint unsigned", "decimal(5,0)"),
        ("bigint unsigned", "int", "decimal(20,0)"),
        ("int", "decimal(10,2)", "decimal(12,2)"),
        ("decimal(65,0)", "decimal(30,30)", "longtext"),
        ("int", "longtext", "longtext"),
        ("date", "datetime(6)", "longtext"),
        ("double", "decimal(10,2)", "longtext"),
        ("longtext", "longblob", "longblob"),
        ("tinyint(1)", "tinyint", "longtext"),
    ],
)
def test_a_column_whose_type_changes_becomes_wide_enough_for_both(old: str, new: str, both: str) -> None:
    assert joined(old, new) == both
    assert joined(both, old) == joined(both, new) == both


@pytest.mark.parametrize(
    ("type_", "value", "text"),
    [
        ("int", -7, b"-7"),
        ("bit(1)", True, b"1"),
        ("decimal(10,2)", "-0.50", b"-0.50"),
        ("double", 5e-324, b"'5e-324'"),
        ("double", 1, b"'1.0'"),
        ("text", "it's \\ \0 🙂", "'it''s \\ \0 🙂'".encode()),
        ("blob", "AP8n", b"_binary'\0\xff'''"),
        ("date", "2024-02-29Z", b"'2024-02-29'"),
        ("timestamp", "2024-05-06T07:08:09Z", b"'2024-05-06T07:08:09'"),
        ("text", None, b"NULL"),
    ],
)
def test_literals(type_: str, value: object, text: bytes) -> None:
    assert literal(column(type_))(value) == text  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("int", "7"),
        ("int", 7.5),
        ("bit(1)", 1),
        ("decimal(10,2)", "1; DROP"),
        ("decimal(10,2)", "NaN"),
        ("double", float("nan")),
        ("text", b"bytes"),
        ("text", "\ud800"),
        ("blob", "no base64!"),
        ("blob", 3),
        ("date", 20240229),
    ],
)
def test_what_is_no_value_of_its_column_is_rejected(type_: str, value: object) -> None:
    with pytest.raises(Rejected, match=r"^MySQL: `c` is no "):
        literal(column(type_))(value)  # type: ignore[arg-type]


def test_what_a_wider_column_returns_is_turned_back() -> None:
    assert value_of(column("int"), "7.00") == 7
    assert value_of(column("int"), b"7") == 7
    assert value_of(column("int"), "seven") == "seven"
    assert value_of(column("text"), "数".encode()) == "数"
    assert value_of(column("blob"), "text") == b"text"
    assert value_of(column("bit(1)"), 2) == 2


def test_the_upsert_assigns_what_its_guard_reads_last() -> None:
    head, tail = statements_of(table_of(TARGET, TWO)).upsert
    assert head.decode() == (
        'INSERT INTO "_tr_notes" ("id", "o""dd", "blob", _tr_pos, _tr_h1, _tr_h2, _tr_bucket, _tr_map, _tr_gen) VALUES '
    )
    guard = '("_tr_notes"._tr_gen, "_tr_notes"._tr_pos) <= (_tr_u._tr_gen, _tr_u._tr_pos)'
    names = ['"o""dd"', '"blob"', "_tr_h1", "_tr_h2", "_tr_bucket", "_tr_map", "_tr_pos", "_tr_gen"]
    assert tail.decode() == " AS _tr_u ON DUPLICATE KEY UPDATE " + ", ".join(
        f'{name} = IF({guard}, _tr_u.{name}, "_tr_notes".{name})' for name in names
    )


def record(id_: int, position: int, *, gone: bool = False, over: int = -1, generation: int = 3) -> Record:
    row = {"id": id_, 'o"dd': None, "blob": "AP8="}
    return Record(TARGET, key_of(TWO, row), position, None if gone else row, 0x1_0000_0002, TWO, "", generation, over)


def test_what_is_looked_for_and_written() -> None:
    upsert, delete = record(7, 42), record(8, 43, gone=True)
    (portion,) = portions([upsert, delete])
    written = Written(portion, ROOM)
    keys = [b"_binary'" + one.key.canonical + b"'" for one in (upsert, delete)]
    assert written.newer() == [
        b'SELECT "id", _tr_gen, _tr_pos FROM "_tr_notes" WHERE "id" IN (7,8) AND (_tr_gen > 3 OR _tr_pos > 42)'
    ]
    assert written.graves() == [
        b'SELECT "key", gen, pos FROM _tr_tombstones WHERE target = \'notes\' AND "key" IN (' + b",".join(keys) + b")"
    ]
    assert written.landing({}) == [0, 1]
    assert written.landing({upsert.key.canonical: (3, 42), delete.key.canonical: (3, 44)}) == [0]
    head, tail = statements_of(portion.table).upsert
    insert, dug, gone, buried = written.writes([0, 1], {upsert.key.canonical})
    row = b"(7,NULL,_binary'\0\xff',42,1,2,%d,%d,3)" % (upsert.key.bucket, TARGET.mapping)
    assert insert == head + row + tail
    assert dug == b"DELETE FROM _tr_tombstones WHERE target = 'notes' AND \"key\" IN (" + keys[0] + b")"
    assert gone == b'DELETE FROM "_tr_notes" WHERE "id" IN (8)'
    assert buried.startswith(
        b"INSERT INTO _tr_tombstones (target, \"key\", pos, bucket, gen) VALUES ('notes',"
        + keys[1]
        + b",43,%d,3) AS u ON DUPLICATE KEY UPDATE seen_at = IF(" % delete.key.bucket
    )
    assert list(written.writes([], set())) == []


def test_a_position_that_is_to_be_written_over_is_forgotten_first() -> None:
    (portion,) = portions([record(7, 42, over=99), record(8, 42)])
    assert Written(portion, ROOM).yielding() == [
        b'UPDATE "_tr_notes" SET _tr_pos = 0, _tr_gen = 0 WHERE "id" IN (7) AND _tr_pos = 99',
        b"DELETE FROM _tr_tombstones WHERE target = 'notes' AND \"key\" IN (_binary'"
        + portion.upserts[0].key.canonical
        + b"') AND pos = 99",
    ]


def test_keys_of_several_columns() -> None:
    target = target_of("dao", "pairs", key=("b", "a"))
    row = {"a": 1, "b": "it's"}
    (portion,) = portions([Record(target, key_of(PAIR, row), 5, row, 0, PAIR)])
    assert Written(portion, ROOM).newer() == [
        b'SELECT "b", "a", _tr_gen, _tr_pos FROM "_tr_pairs" WHERE ("b", "a") IN ((\'it\'\'s\',1))'
        b" AND (_tr_gen > 0 OR _tr_pos > 5)"
    ]


def test_statements_are_cut_at_the_servers_packet() -> None:
    assert chunks((b"<", b">"), [b"aaa", b"bbb", b"cc"], 11) == [b"<aaa,bbb>", b"<cc>"]
    assert chunks((b"<", b">"), [], 11) == []
    with pytest.raises(Rejected, match="9 bytes are more than its `max_allowed_packet`, 11"):
        chunks((b"<", b">"), [b"a", b"b" * 9], 11)


def test_locks_are_taken_in_one_order() -> None:
    found = lock([Record(TARGET, key_of(PLAIN, {"id": id_}), 1, None, 0, PLAIN) for id_ in range(500)]).decode()
    pairs = found.partition("VALUES ")[2].partition(" ON")[0].removeprefix("(").removesuffix(")").split("), (")
    assert len(pairs) == 16
    assert pairs == sorted(pairs, key=lambda pair: int(pair.partition(", ")[2]))


def test_a_new_table() -> None:
    create, view = plan(table_of(TARGET, TWO), Found())
    assert create == (
        'CREATE TABLE "_tr_notes" ("id" bigint NOT NULL, "o""dd" longtext NULL, "blob" longblob NULL,'
        " _tr_pos bigint NOT NULL, _tr_h1 int unsigned NOT NULL, _tr_h2 int unsigned NOT NULL,"
        " _tr_bucket int NOT NULL, _tr_map int NOT NULL, _tr_gen int NOT NULL DEFAULT 0,"
        ' PRIMARY KEY ("id"), KEY _tr_sums (_tr_bucket, _tr_pos, _tr_h1, _tr_h2)) ENGINE = InnoDB'
        " ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin"
    )
    assert view == 'CREATE OR REPLACE VIEW "notes" AS SELECT "id", "o""dd", "blob" FROM "_tr_notes"'


RESERVED = {
    **dict.fromkeys(("_tr_pos", "_tr_bucket", "_tr_map"), "int"),
    **dict.fromkeys(("_tr_h1", "_tr_h2"), "int unsigned"),
}
THERE = Found({"id": "bigint", 'o"dd': "longtext", "blob": "longblob", **RESERVED, "_tr_gen": "int"}, ("id",),
              ("PRIMARY", "_tr_sums"), ("id", 'o"dd', "blob"))  # fmt: skip


def test_nothing_is_done_to_what_is_right() -> None:
    assert plan(table_of(TARGET, TWO), THERE) == []


def test_a_table_is_widened_in_one_statement() -> None:
    table = table_of(TARGET, schema_of(("id", "bigint"), ('o"dd', "int"), ("blob", "blob"), ("new", "timestamp")))
    there = {"id": "int", 'o"dd': "decimal(4,2)", "blob": "longtext", **RESERVED}
    alter, view = plan(table, replace(THERE, columns=there))
    assert alter == (
        'ALTER TABLE "_tr_notes" ADD COLUMN "new" timestamp(6) NULL, ADD COLUMN _tr_gen int NOT NULL DEFAULT 0,'
        ' MODIFY COLUMN "id" bigint NOT NULL, MODIFY COLUMN "o""dd" decimal(12,2) NULL,'
        ' MODIFY COLUMN "blob" longblob NULL'
    )
    assert view == 'CREATE OR REPLACE VIEW "notes" AS SELECT "id", "o""dd", "blob", "new" FROM "_tr_notes"'


def test_a_table_from_before_all_that_is_summed_was_indexed_gets_that_index() -> None:
    assert plan(table_of(TARGET, TWO), replace(THERE, indexes=("PRIMARY", "_tr_bucket"))) == [
        'ALTER TABLE "_tr_notes" ADD KEY _tr_sums (_tr_bucket, _tr_pos, _tr_h1, _tr_h2), DROP KEY _tr_bucket'
    ]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (replace(THERE, key=("other",)), "it was made for another table"),
        (replace(THERE, columns={"id": "bigint"}), "it was made for another table"),
        (replace(THERE, columns={**THERE.columns, "id": "date"}), "is date and cannot become bigint"),
        (Found(taken=True), "`notes` is a table that is not Tailrace's"),
    ],
)
def test_what_takes_more_than_tailrace_may_do_is_refused(found: Found, said: str) -> None:
    with pytest.raises(Misconfigured, match=said):
        plan(table_of(TARGET, TWO), found)


def test_a_key_longer_than_an_index_takes_is_refused() -> None:
    schema = schema_of(("id", "varchar(768)"), ("title", "text"))
    with pytest.raises(Misconfigured, match=r"its key \['id'\] may be 3086 bytes long, and MySQL indexes 2816"):
        plan(table_of(TARGET, schema), Found())
    assert plan(table_of(TARGET, schema_of(("id", "varchar(700)"), ("title", "text"))), Found())


@pytest.mark.parametrize("place", ["a" * 61, "smile🙂", "blank ", "_tr_x", "a{id}", "tombstones"])
def test_places_that_cannot_be(place: str) -> None:
    with pytest.raises(Misconfigured, match="`notes` → `dao`"):
        check(target_of("dao", place))


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        *((number, Rejected) for number in (1264, 1366, 1406, 1292, 1153)),
        *((number, Misconfigured) for number in (1045, 1044, 1142, 1146, 3159)),
        *((number, Transient) for number in (0, 1205, 1213, 2003, 2006, 2013, 1040, 1290, 1021, 1114, 3675, 1412)),
    ],
)
def test_errors(number: int, kind: type[Exception]) -> None:
    error = classify(number, "words")
    assert type(error) is kind
    assert str(error).startswith(f"MySQL: words (error {number})")
