"""Conformance, values: every type is kept exactly, and columns that come or change their type are followed."""

import math
import struct
from dataclasses import replace
from random import Random

import pytest
from conformance import EVERY, EVERYTHING, Harness, Stage, schema_of, staged

from changes.canonical import Value, row_hash
from changes.schema import Kind

LONG = "🙂数据" * 100_000


async def test_null_replaces_a_value(stage: Stage) -> None:
    await stage.write(stage.put(10, id=1, user_id=1, title="a", amount="1.00"))
    await stage.write(stage.put(11, id=1, user_id=1, title=None, amount=None))
    held = await stage.held(id=1, user_id=1)
    assert held is not None
    assert held.row == {"id": 1, "user_id": 1, "title": None, "amount": None}


async def test_every_kind_of_column_keeps_its_value(harness: Harness, name: str) -> None:
    assert {column.kind for column in EVERYTHING.columns} == set(Kind)
    async with staged(harness, name, EVERYTHING) as stage:
        full = {column: value for column, (_, value) in EVERY.items()}
        bare = {"id": 8, "user_id": 1}
        assert await stage.write(stage.put(1, **full), stage.put(2, **bare)) == ["applied"] * 2
        columns = stage.target.columns(EVERYTHING)
        for given_row in (full, {**dict.fromkeys(full), **bare}):
            held = await stage.held(**given_row)
            assert held is not None
            assert [c.name for c in columns if row_hash([c], held.row) != row_hash([c], given_row)] == []
            assert row_hash(columns, held.row) == row_hash(columns, given_row) == held.hash


async def test_a_vector_is_kept_bit_for_bit(harness: Harness, name: str) -> None:
    schema = schema_of(("id", "bigint"), ("user_id", "bigint"), ("embedding", "vector(384)"), ("title", "vector(2)"))
    random = Random(5)
    vectors = [
        [number for number in struct.unpack("<384f", random.randbytes(1536)) if math.isfinite(number)]
        for _ in range(40)
    ]
    vectors = [(vector + [0.1] * 384)[:384] for vector in vectors]
    async with staged(harness, name, schema) as stage:
        batch = [
            stage.put(10, id=id_, user_id=1, embedding=vector, title=[id_, 0.5]) for id_, vector in enumerate(vectors)
        ]
        assert await stage.write(*batch, stage.put(10, id=99, user_id=1)) == ["applied"] * 41
        assert await stage.write(stage.put(11, id=0, user_id=1, embedding=vectors[1], title=[1, 2])) == ["applied"]
        vectors[0] = vectors[1]
        for held in await stage.all():
            (id_,) = held.key.values
            wanted = None if id_ == 99 else struct.pack("<384f", *vectors[int(str(id_))])
            found = held.row["embedding"]
            assert (found if found is None else struct.pack("<384f", *found)) == wanted  # type: ignore[misc]
            assert held.hash == row_hash(schema.columns, held.row)


async def test_long_and_unusual_text(stage: Stage) -> None:
    texts = ["", " ", "\u200b", "a'b\"c\\d", LONG, "{id}", "null", "\x01\x7f", "e\u0301 ≠ é", "𐍈🇨🇳👩‍👩‍👧"]
    await stage.write(*(stage.put(10, id=index, user_id=1, title=text) for index, text in enumerate(texts)))
    assert await stage.titles() == dict(enumerate(texts))


async def test_a_new_column_is_followed(stage: Stage) -> None:
    await stage.write(
        stage.put(10, id=1, user_id=1, title="a"),
        stage.put(10, id=2, user_id=1, title="b"),
        stage.put(10, id=3, user_id=2, title="c"),
    )
    wider = stage.widened("note", "varchar(20)")
    await wider.sink.open([(wider.target, wider.schema)])
    assert [row.row["note"] for row in await wider.all()] == [None, None, None]
    assert await wider.write(wider.put(11, id=1, user_id=1, title="a", note="new")) == ["applied"]
    assert await stage.write(stage.put(12, id=2, user_id=1, title="from before the change")) == ["applied"]
    assert [row.row["note"] for row in await wider.all()] == ["new", None, None]


CHANGING: tuple[tuple[str, Value], ...] = (
    ("int", 7),
    ("bigint", 2**40),
    ("varchar(20)", "seven"),
    ("decimal(10,2)", "7.50"),
    ("double", 0.1),
    ("datetime(3)", "2024-05-06T07:08:09.123Z"),
    ("date", "2024-05-06Z"),
    ("time", "-30:00:01Z"),
    ("timestamp", "2024-05-06T07:08:09Z"),
    ("varbinary(8)", "AAEC/w=="),
    ("bit(1)", True),
    ("json", '{"a":[1,null]}'),
    ("bigint unsigned", 2**63 - 1),
    ("int", -7),
)


@pytest.mark.parametrize("start", range(len(CHANGING) - 1))
async def test_a_column_whose_type_changes_holds_what_is_written_by_either_layout(
    harness: Harness, name: str, start: int
) -> None:
    """Rows of the older layout may come after the first of the newer one: other partitions are not as far."""
    (old_type, old), (new_type, new) = CHANGING[start : start + 2]
    before = schema_of(("id", "bigint"), ("user_id", "bigint"), ("note", old_type))
    async with staged(harness, name, before) as stage:
        after = replace(stage, schema=schema_of(("id", "bigint"), ("user_id", "bigint"), ("note", new_type)))
        await stage.write(stage.put(10, id=1, user_id=1, note=old), stage.put(10, id=2, user_id=1, note=old))
        await after.sink.open([(after.target, after.schema)])
        assert await after.write(after.put(11, id=1, user_id=1, note=new)) == ["applied"]
        assert await stage.write(stage.put(12, id=3, user_id=1, note=old)) == ["applied"]
        for other, values, ids in ((after, new, (1,)), (stage, old, (2, 3))):
            columns = other.target.columns(other.schema)
            for id_ in ids:
                held = await other.held(id=id_, user_id=1)
                assert held is not None
                assert row_hash(columns, held.row) == row_hash(columns, {"id": id_, "user_id": 1, "note": values})
        await after.write(after.put(20, id=2, user_id=1, note=new), after.put(20, id=3, user_id=1, note=new))
        assert len(await after.all()) == 3
