"""PostgreSQL's statements, types and plans, by value."""

from dataclasses import replace

import pytest
from conformance import PLAIN, schema_of, target_of

from changes.errors import Misconfigured, Rejected, Transient
from changes.key import key_of
from changes.record import Record
from changes.schema import Column, kind_of
from sinks.sql.locks import locks
from sinks.sql.postgres import check
from sinks.sql.postgres.ddl import Found, index_name, plan
from sinks.sql.postgres.errors import classify
from sinks.sql.postgres.statements import FEW, begin, statements_of, upsert_arguments
from sinks.sql.postgres.types import joined, to_text, type_of, widens
from sinks.sql.table import portions, table_of

TWO = schema_of(("id", "bigint"), ('o"dd', "json"), ("blob", "blob"))
TARGET = target_of("postgres", "notes")


@pytest.mark.parametrize(
    ("mysql", "postgres"),
    [
        ("tinyint(1)", "smallint"),
        ("tinyint unsigned", "smallint"),
        ("smallint", "smallint"),
        ("smallint unsigned", "integer"),
        ("mediumint unsigned", "integer"),
        ("int", "integer"),
        ("int unsigned", "bigint"),
        ("bigint", "bigint"),
        ("bigint unsigned", "numeric(20,0)"),
        ("year", "integer"),
        ("decimal(10,2)", "numeric(10,2)"),
        ("decimal(12,0) unsigned", "numeric(12,0)"),
        ("float", "double precision"),
        ("double", "double precision"),
        ("varchar(20)", "text"),
        ("enum('a','b')", "text"),
        ("set('a','b')", "text"),
        ("binary(5)", "bytea"),
        ("bit(1)", "boolean"),
        ("bit(8)", "bytea"),
        ("date", "date"),
        ("datetime(3)", "timestamp(6) without time zone"),
        ("timestamp", "timestamp with time zone"),
        ("time(6)", "text"),
        ("json", "jsonb"),
    ],
)
def test_column_types(mysql: str, postgres: str) -> None:
    assert type_of(Column("c", kind_of(mysql), mysql)) == postgres


@pytest.mark.parametrize(
    ("old", "new", "answer"),
    [
        ("smallint", "integer", True),
        ("integer", "bigint", True),
        ("bigint", "numeric(20,0)", True),
        ("numeric(10,2)", "numeric(12,2)", True),
        ("numeric(10,2)", "numeric(11,4)", False),
        ("bigint", "bigint", False),
        ("bigint", "integer", False),
        ("integer", "text", False),
    ],
)
def test_which_types_may_be_widened(old: str, new: str, answer: bool) -> None:
    assert widens(old, new) is answer


@pytest.mark.parametrize(
    ("old", "new", "both"),
    [
        ("bigint", "bigint", "bigint"),
        ("integer", "bigint", "bigint"),
        ("bigint", "integer", "bigint"),
        ("integer", "numeric(10,2)", "numeric"),
        ("numeric(10,2)", "numeric(11,4)", "numeric"),
        ("numeric", "numeric(11,4)", "numeric"),
        ("integer", "text", "text"),
        ("text", "integer", "text"),
        ("date", "timestamp(6) without time zone", "text"),
        ("numeric(10,2)", "double precision", "text"),
    ],
)
def test_a_column_whose_type_changes_becomes_wide_enough_for_both(old: str, new: str, both: str) -> None:
    assert joined(old, new) == both
    assert joined(both, old) == joined(both, new) == both


def test_the_upsert() -> None:
    assert statements_of(table_of(TARGET, TWO)).upsert == (
        "WITH cleared AS (DELETE FROM tailrace.tombstones AS d"
        " USING unnest($9::bytea[], $8::integer[], $4::bigint[]) AS u (_tr_key, _tr_gen, _tr_pos)"
        " WHERE d.target = $10 AND d.key = u._tr_key AND (d.gen, d.pos) <= (u._tr_gen, u._tr_pos)),"
        ' landed AS (INSERT INTO tailrace."notes" AS t'
        ' ("id", "o""dd", "blob", _tr_pos, _tr_h1, _tr_h2, _tr_bucket, _tr_gen, _tr_map)'
        " SELECT r.c1::bigint, r.c2::jsonb, decode(r.c3, 'base64'), r._tr_pos, r._tr_h1, r._tr_h2, r._tr_bucket,"
        " r._tr_gen, $11::integer FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[],"
        " $6::bigint[], $7::integer[], $8::integer[], $9::bytea[])"
        " AS r (c1, c2, c3, _tr_pos, _tr_h1, _tr_h2, _tr_bucket, _tr_gen, _tr_key)"
        " WHERE NOT EXISTS (SELECT FROM tailrace.tombstones AS d"
        " WHERE d.target = $10 AND d.key = r._tr_key AND (d.gen, d.pos) > (r._tr_gen, r._tr_pos) OFFSET 0)"
        ' ON CONFLICT ("id") DO UPDATE SET "o""dd" = excluded."o""dd", "blob" = excluded."blob",'
        " _tr_pos = excluded._tr_pos, _tr_h1 = excluded._tr_h1, _tr_h2 = excluded._tr_h2,"
        " _tr_bucket = excluded._tr_bucket, _tr_gen = excluded._tr_gen, _tr_map = excluded._tr_map"
        " WHERE (t._tr_gen, t._tr_pos) <= (excluded._tr_gen, excluded._tr_pos) RETURNING 1)"
        " SELECT count(*) FROM landed"
    )


def test_which_landed() -> None:
    assert statements_of(table_of(TARGET, TWO)).landed == (
        'WITH u AS MATERIALIZED (SELECT r.c1::bigint AS "id", r._tr_pos, r._tr_gen, r._tr_i'
        " FROM unnest($1::text[], $2::bigint[], $3::integer[]) WITH ORDINALITY AS r (c1, _tr_pos, _tr_gen, _tr_i))"
        ' SELECT u._tr_i FROM u JOIN tailrace."notes" AS t ON t."id" = u."id"'
        " WHERE (t._tr_gen, t._tr_pos) = (u._tr_gen, u._tr_pos)"
    )


def test_the_delete() -> None:
    assert statements_of(table_of(TARGET, TWO)).delete == (
        'WITH u AS MATERIALIZED (SELECT r.c1::bigint AS "id", r._tr_pos, r._tr_bucket, r._tr_gen, r._tr_key, r._tr_i'
        " FROM unnest($1::text[], $2::bigint[], $3::integer[], $4::integer[], $5::bytea[]) WITH ORDINALITY"
        " AS r (c1, _tr_pos, _tr_bucket, _tr_gen, _tr_key, _tr_i)),"
        ' gone AS (DELETE FROM tailrace."notes" AS t USING u WHERE t."id" = u."id"'
        " AND (t._tr_gen, t._tr_pos) <= (u._tr_gen, u._tr_pos)),"
        " landed AS (INSERT INTO tailrace.tombstones AS d (target, key, pos, bucket, gen)"
        " SELECT $6, u._tr_key, u._tr_pos, u._tr_bucket, u._tr_gen FROM u"
        ' WHERE NOT EXISTS (SELECT FROM tailrace."notes" AS t WHERE t."id" = u."id"'
        " AND (t._tr_gen, t._tr_pos) > (u._tr_gen, u._tr_pos))"
        " ON CONFLICT (target, key) DO UPDATE SET pos = excluded.pos, gen = excluded.gen, seen_at = excluded.seen_at"
        " WHERE (d.gen, d.pos) <= (excluded.gen, excluded.pos) RETURNING d.key)"
        " SELECT u._tr_i FROM u JOIN landed ON landed.key = u._tr_key"
    )


def test_what_is_bound() -> None:
    row = {"id": 7, 'o"dd': None, "blob": "AP8="}
    record = Record(TARGET, key_of(TWO, row), 42, row, 0x1_0000_0002, TWO, generation=3)
    (portion,) = portions([record])
    key = record.key
    assert upsert_arguments(portion) == [
        ["7"], [None], ["AP8="], [42], [1], [2], [key.bucket], [3], [key.canonical], "notes", TARGET.mapping,
    ]  # fmt: skip


def test_locks_are_ascending_and_few() -> None:
    records = [
        Record(target_of("postgres", place), key_of(PLAIN, {"id": id_}), 1, None, 0, PLAIN)
        for id_ in range(500)
        for place in ("b", "a")
    ]
    pairs = locks(records)
    assert len(pairs) == 32
    assert pairs == sorted(set(pairs))


def test_a_transaction_begins_with_its_locks_and_small_ones_keep_their_plans() -> None:
    records = [Record(TARGET, key_of(PLAIN, {"id": id_}), 1, None, 0, PLAIN) for id_ in range(FEW + 1)]
    (target, part), *_ = locks(records[:1])
    one = begin(records[:1])
    assert one.startswith("BEGIN ISOLATION LEVEL READ COMMITTED; SELECT set_config('plan_cache_mode', ")
    assert one.endswith(
        f"; SELECT pg_advisory_xact_lock(l.target, l.part) FROM (VALUES ({target}, {part})) AS l (target, part)"
    )
    assert "plan_cache_mode" in begin(records[:FEW])
    assert "plan_cache_mode" not in begin(records)


def test_a_new_table() -> None:
    assert plan(table_of(TARGET, TWO), Found()) == [
        'CREATE TABLE tailrace."notes" ("id" bigint, "o""dd" jsonb, "blob" bytea, _tr_pos bigint NOT NULL,'
        " _tr_h1 bigint NOT NULL, _tr_h2 bigint NOT NULL, _tr_bucket integer NOT NULL, _tr_map integer NOT NULL,"
        ' _tr_gen integer NOT NULL DEFAULT 0, PRIMARY KEY ("id"))',
        'CREATE INDEX ON tailrace."notes" (_tr_bucket)',
        'CREATE OR REPLACE VIEW public."notes" WITH (security_invoker = true) AS'
        ' SELECT "id", "o""dd", "blob" FROM tailrace."notes"',
    ]


RESERVED_FOUND = {
    "_tr_pos": "bigint",
    "_tr_h1": "bigint",
    "_tr_h2": "bigint",
    "_tr_bucket": "integer",
    "_tr_map": "integer",
    "_tr_gen": "integer",
}
ALL_FOUND = {"id": "bigint", 'o"dd': "jsonb", "blob": "bytea", **RESERVED_FOUND}


def test_a_table_that_is_as_it_should_be_is_left_alone() -> None:
    assert plan(table_of(TARGET, TWO), Found(ALL_FOUND, ("id",), ("id", 'o"dd', "blob"), safe=True)) == []


def test_a_table_from_before_there_were_generations_is_widened() -> None:
    columns = {name: type_ for name, type_ in ALL_FOUND.items() if name != "_tr_gen"}
    assert plan(table_of(TARGET, TWO), Found(columns, ("id",), ("id", 'o"dd', "blob"), safe=True)) == [
        'ALTER TABLE tailrace."notes" ADD COLUMN IF NOT EXISTS _tr_gen integer NOT NULL DEFAULT 0'
    ]


VECTORS = schema_of(("id", "bigint"), ("title", "vector(384)"), ("long", "vector(3072)"))


def test_a_table_of_vectors() -> None:
    table, name = table_of(TARGET, VECTORS), index_name("notes", "title")
    create, _, _, index = plan(table, Found(vectors="public"))
    assert '"title" public.vector(384), "long" public.vector(3072)' in create
    assert index == (
        f'CREATE INDEX IF NOT EXISTS "{name}" ON tailrace."notes" USING hnsw ("title" public.vector_cosine_ops)'
    )
    found = {"id": "bigint", "title": "public.vector(384)", "long": "public.vector(3072)", **RESERVED_FOUND}
    there = Found(found, ("id",), ("id", "title", "long"), safe=True, indexes=(name,), vectors="public")
    assert plan(table, there) == []
    assert plan(table, replace(there, indexes=())) == [index]


def test_vectors_with_owners_are_indexed_by_owner_too() -> None:
    schema = schema_of(("id", "bigint"), ("user_id", "bigint"), ("title", "vector(384)"))
    name = index_name("notes", "user_id", "user")
    statements = plan(table_of(target_of("postgres", "notes", user="user_id"), schema), Found(vectors="public"))
    assert statements[-1] == f'CREATE INDEX IF NOT EXISTS "{name}" ON tailrace."notes" USING btree ("user_id")'
    assert "ENABLE ROW LEVEL SECURITY" in " ".join(statements)


def test_vectors_need_their_extension_and_keep_their_length() -> None:
    table = table_of(TARGET, VECTORS)
    with pytest.raises(Misconfigured, match="CREATE EXTENSION vector"):
        plan(table, Found())
    other = {"id": "bigint", "title": "public.vector(768)", "long": "public.vector(3072)", **RESERVED_FOUND}
    with pytest.raises(Misconfigured, match=r"`title` of .* is vector\(768\), not vector\(384\)"):
        plan(table, Found(other, ("id",), vectors="public"))


def test_the_name_of_an_index_fits_and_is_its_own() -> None:
    assert index_name("job_embeddings", "title") == "job_embeddings_title_31b64fc3_hnsw"
    assert index_name("a_b", "c") != index_name("a", "b_c")
    long = [index_name("语" * 21, column * 63) for column in "ab"]
    assert len(set(long)) == 2
    assert all(len(name.encode()) <= 63 for name in long)


def test_a_vector_is_bound_in_as_many_digits_as_tell_it_apart() -> None:
    (column,) = schema_of(("v", "vector(3)")).columns
    assert to_text(column, [[0.1, -2, 0.30000001192092896], None]) == ["{0.100000001,-2,0.300000012}", None]
    with pytest.raises(Rejected, match="`v` is no list"):
        to_text(column, ["[1,2,3]"])


def test_a_new_column_is_added_at_the_end_of_table_and_view() -> None:
    found = Found({"id": "bigint", "blob": "bytea", **RESERVED_FOUND}, ("id",), ("id", "blob"), safe=True)
    assert plan(table_of(TARGET, TWO), found) == [
        'ALTER TABLE tailrace."notes" ADD COLUMN "o""dd" jsonb',
        'CREATE OR REPLACE VIEW public."notes" WITH (security_invoker = true) AS'
        ' SELECT "id", "blob", "o""dd" FROM tailrace."notes"',
    ]


def test_a_wider_type_takes_the_view_away_for_a_moment() -> None:
    found = Found({**ALL_FOUND, "id": "integer"}, ("id",), ("id", 'o"dd', "blob"), safe=True)
    drop, alter, create = plan(table_of(TARGET, TWO), found)
    assert drop == 'DROP VIEW public."notes"'
    assert alter == 'ALTER TABLE tailrace."notes" ALTER COLUMN "id" TYPE bigint'
    assert create.startswith("CREATE OR REPLACE VIEW")


def test_a_type_that_does_not_fit_becomes_text_but_not_in_a_key() -> None:
    found = Found({**ALL_FOUND, 'o"dd': "date"}, ("id",), ("id", 'o"dd', "blob"), safe=True)
    _, alter, _ = plan(table_of(TARGET, TWO), found)
    assert alter == 'ALTER TABLE tailrace."notes" ALTER COLUMN "o""dd" TYPE text USING "o""dd"::text'
    with pytest.raises(Misconfigured, match=r"the key `id` of .* is date and cannot become bigint"):
        plan(table_of(TARGET, TWO), Found({**ALL_FOUND, "id": "date"}, ("id",), ("id", 'o"dd', "blob"), safe=True))


def test_a_column_that_is_hidden_now_leaves_the_view_and_one_that_mysql_dropped_stays() -> None:
    hidden = target_of("postgres", "notes", hidden=frozenset({"blob"}))
    found = Found({**ALL_FOUND, "old": "text"}, ("id",), ("id", 'o"dd', "blob", "old"), safe=True)
    drop, create = plan(table_of(hidden, TWO), found)
    assert drop == 'DROP VIEW public."notes"'
    assert create.endswith('SELECT "id", "o""dd", "old" FROM tailrace."notes"')


def test_row_security() -> None:
    target = target_of("postgres", "notes", user="user_id")
    assert plan(table_of(target, PLAIN), Found())[-2:] == [
        'ALTER TABLE tailrace."notes" ENABLE ROW LEVEL SECURITY',
        'CREATE POLICY "tailrace_user_id" ON tailrace."notes" FOR SELECT'
        " USING (\"user_id\" = nullif(current_setting('app.current_user_id', true), '')::bigint)",
    ]


def test_a_table_with_another_key_is_refused() -> None:
    with pytest.raises(Misconfigured, match="made for another table"):
        plan(table_of(TARGET, TWO), Found(ALL_FOUND, ("blob",)))


@pytest.mark.parametrize(
    "target",
    [
        target_of("postgres", "job:{id}"),
        target_of("postgres", "tombstones"),
        target_of("postgres", "x" * 64),
        target_of("postgres", "notes", keep="cache", keep_for=60),
        target_of("postgres", "notes", owns="columns"),
    ],
)
def test_targets_that_are_refused(target: object) -> None:
    with pytest.raises(Misconfigured):
        check(target)  # type: ignore[arg-type]


def test_a_declaration_that_does_not_fit_its_schema() -> None:
    with pytest.raises(Misconfigured, match="primary key"):
        table_of(target_of("postgres", "notes", key=("title",)), PLAIN)
    with pytest.raises(Misconfigured, match="reserves"):
        table_of(TARGET, schema_of(("id", "int"), ("_tr_pos", "int")))
    with pytest.raises(Misconfigured, match="user column"):
        table_of(target_of("postgres", "notes", user="owner"), PLAIN)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("22P05", Rejected), ("23514", Rejected), ("54000", Rejected), ("21000", Rejected),
        ("08006", Transient), ("40P01", Transient), ("40001", Transient), ("53100", Transient), ("53300", Transient),
        ("57P01", Transient), ("57014", Transient), ("55P03", Transient), ("0A000", Transient), ("25006", Transient),
        ("28P01", Misconfigured), ("42501", Misconfigured), ("3D000", Misconfigured), ("42P01", Misconfigured),
    ],
)  # fmt: skip
def test_error_codes(state: str, kind: type[Exception]) -> None:
    assert type(classify(state, "it said no")) is kind
