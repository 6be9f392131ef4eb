"""The conformance suite: what `sinks.contract` promises, of every sink in the registry, on real servers."""

import itertools
import math
import struct
from collections.abc import AsyncIterator
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from conformance import EVERY, EVERYTHING, PLAIN, Harness, Others, Servers, Stage, new_place, schema_of, staged
from harnesses import HARNESSES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changes.canonical import Value, halves, row_hash
from changes.errors import Transient
from changes.key import key_of
from changes.position import LAST_GENERATION
from changes.record import BucketSum, StoredRow, StoredSums
from changes.schema import Kind
from sinks.registry import SPECS

EVER = (1 << 63) - 1
LONG = "🙂数据" * 100_000


@pytest.fixture(scope="module", params=sorted(SPECS))
def name(request: pytest.FixtureRequest) -> Any:
    assert request.param in HARNESSES, f"the sink `{request.param}` has no harness in harnesses.py"
    return request.param


@pytest.fixture(scope="module")
def harness(name: str, stack: Servers, beside: Others) -> Harness:
    return HARNESSES[name](stack, beside)


@pytest.fixture
async def stage(harness: Harness, name: str) -> AsyncIterator[Stage]:
    async with staged(harness, name) as opened:
        yield opened


@pytest.fixture(scope="module")
async def shared(harness: Harness, name: str) -> AsyncIterator[Stage]:
    """One stage for many examples, each with keys of its own."""
    async with staged(harness, name) as opened:
        yield opened


async def titles(stage: Stage) -> dict[Any, Any]:
    return {row.key.values[0]: row.row["title"] for row in await stage.all()}


async def test_opening_and_closing_twice_changes_nothing(stage: Stage) -> None:
    await stage.write(stage.put(10, id=1, user_id=1, title="kept"))
    await stage.sink.open([(stage.target, stage.schema)])
    await stage.sink.open([(stage.target, stage.schema)])
    assert await titles(stage) == {1: "kept"}
    await stage.sink.close()
    await stage.sink.close()


async def test_a_stamp_is_kept_for_each_lane_and_gives_back_the_one_it_replaces(harness: Harness, stage: Stage) -> None:
    one, other = new_place("lane.0"), new_place("lane.1")
    bare = harness.build()
    await bare.open([])
    assert await bare.stamped(one) is None
    first, second = '{"offsets":{"ä.b":{"0":7}}}', '{"text":"' + "0123456789 '\\\\ " * 300 + '"}'
    assert await bare.stamp(one, first) is None
    assert await bare.stamp(other, "else") is None
    assert await stage.sink.stamped(one) == first
    assert await stage.sink.stamp(one, second) == first
    assert await stage.all() == []
    await bare.close()
    again = harness.build()
    await again.open([])
    try:
        assert (await again.stamped(one), await again.stamped(other)) == (second, "else")
        assert await again.stamp(one, second) == second
    finally:
        await again.close()


async def test_an_empty_batch_has_no_outcomes(stage: Stage) -> None:
    assert await stage.write() == []
    assert await stage.sink.read(stage.target, stage.schema, []) == []


async def test_the_same_batch_twice_is_as_once(stage: Stage) -> None:
    batch = [stage.put(10, id=1, user_id=1, title="a"), stage.put(11, id=2, user_id=2, title="b")]
    assert await stage.write(*batch) == ["applied", "applied"]
    once = await stage.all()
    assert await stage.write(*batch) == ["applied", "applied"]
    assert await stage.all() == once


async def test_an_older_change_is_stale(stage: Stage) -> None:
    assert await stage.write(stage.put(20, id=1, user_id=1, title="new")) == ["applied"]
    assert await stage.write(stage.put(19, id=1, user_id=1, title="old")) == ["stale"]
    assert await stage.write(stage.gone(18, id=1, user_id=1)) == ["stale"]
    assert await titles(stage) == {1: "new"}


async def test_positions_that_are_one_as_doubles_are_told_apart(stage: Stage) -> None:
    position = 2**62 + 1
    assert float(position) == float(position - 1)
    assert await stage.write(stage.put(position, id=1, user_id=1, title="new")) == ["applied"]
    assert await stage.write(stage.put(position - 1, id=1, user_id=1, title="old")) == ["stale"]
    assert await stage.write(stage.gone(position - 1, id=1, user_id=1)) == ["stale"]
    assert await stage.write(stage.gone(position + 1, id=1, user_id=1)) == ["applied"]
    assert await stage.write(stage.put(position, id=1, user_id=1, title="late")) == ["stale"]


async def test_an_equal_position_lands(stage: Stage) -> None:
    await stage.write(stage.put(20, id=1, user_id=1, title="first"))
    assert await stage.write(stage.put(20, id=1, user_id=1, title="repaired")) == ["applied"]
    assert await titles(stage) == {1: "repaired"}
    assert await stage.write(stage.gone(20, id=1, user_id=1)) == ["applied"]
    assert await stage.write(stage.put(20, id=1, user_id=1, title="again")) == ["applied"]
    assert await titles(stage) == {1: "again"}


async def test_an_older_generation_loses_whatever_its_position(stage: Stage) -> None:
    await stage.write(stage.put(20, generation=2, id=1, user_id=1, title="new"))
    assert await stage.write(stage.put(30, generation=1, id=1, user_id=1, title="old")) == ["stale"]
    assert await stage.write(stage.gone(30, generation=1, id=1, user_id=1)) == ["stale"]
    assert await stage.write(stage.put(19, generation=2, id=1, user_id=1, title="old")) == ["stale"]
    held = await stage.held(id=1, user_id=1)
    assert held is not None
    assert (held.row["title"], held.generation, held.position) == ("new", 2, 20)


async def test_a_newer_generation_wins_whatever_its_position(stage: Stage) -> None:
    await stage.write(stage.put(30, generation=9, id=1, user_id=1, title="old"))
    assert await stage.write(stage.put(20, generation=10, id=1, user_id=1, title="new")) == ["applied"]
    assert await stage.write(stage.put(20, generation=10, id=1, user_id=1, title="same")) == ["applied"]
    assert await titles(stage) == {1: "same"}
    last = stage.put(1, generation=LAST_GENERATION, id=1, user_id=1, title="last")
    assert await stage.write(last) == ["applied"]
    (held,) = await stage.all()
    assert (held.generation, held.position) == (LAST_GENERATION, 1)


async def test_a_tombstone_is_of_its_generation(stage: Stage) -> None:
    row = {"id": 1, "user_id": 1}
    await stage.write(stage.put(30, generation=1, **row))
    assert await stage.write(stage.gone(20, generation=2, **row)) == ["applied"]
    assert await stage.all() == []
    assert await stage.write(stage.put(40, generation=1, **row)) == ["stale"]
    assert await stage.write(stage.gone(40, generation=1, **row)) == ["stale"]
    assert await stage.write(stage.put(19, generation=2, **row)) == ["stale"]
    assert await stage.write(stage.put(20, generation=2, **row)) == ["applied"]
    assert await stage.write(stage.gone(10, generation=3, **row), stage.put(5, generation=4, **row)) == ["applied"] * 2
    assert [held.generation for held in await stage.all()] == [4]


async def test_the_guard_yields_at_exactly_the_position_that_a_record_names(stage: Stage) -> None:
    row = {"id": 1, "user_id": 1, "title": "right"}
    await stage.write(stage.put(1 << 62, **row | {"title": "wrong"}))
    assert await stage.write(stage.put(20, **row)) == ["stale"]
    assert await stage.write(stage.put(20, over=(1 << 62) - 1, **row)) == ["stale"]
    assert await stage.write(stage.gone(20, over=(1 << 62) - 1, **row)) == ["stale"]
    assert await stage.write(stage.put(20, over=1 << 62, **row)) == ["applied"]
    (held,) = await stage.all()
    assert (held.row["title"], held.position) == ("right", 20)
    assert await stage.write(stage.put(19, **row), stage.gone(19, **row)) == ["stale"] * 2


async def test_the_guard_yields_to_a_delete_too_and_a_tombstone_to_a_row(stage: Stage) -> None:
    row = {"id": 1, "user_id": 1, "title": "right"}
    await stage.write(stage.put(1 << 62, generation=9, **row))
    assert await stage.write(stage.gone(20, over=1 << 62, **row)) == ["applied"]
    assert await stage.all() == []
    assert await stage.write(stage.put(19, **row)) == ["stale"]
    await stage.write(stage.gone(1 << 62, **row))
    assert await stage.write(stage.put(21, **row)) == ["stale"]
    assert await stage.write(stage.put(21, over=1 << 62, **row)) == ["applied"]
    assert [held.position for held in await stage.all()] == [21]


async def test_within_a_batch_the_newest_generation_wins(stage: Stage) -> None:
    outcomes = await stage.write(
        stage.put(10, generation=2, id=1, user_id=1, title="new"),
        stage.put(90, generation=1, id=1, user_id=1, title="late"),
    )
    assert outcomes == ["applied", "stale"]
    assert await titles(stage) == {1: "new"}


async def test_what_was_stored_before_generations_is_of_generation_0(harness: Harness, name: str) -> None:
    async with staged(harness, name) as old:
        row, grave = {"id": 1, "user_id": 1}, {"id": 2, "user_id": 1}
        await old.write(old.put(10, **row, title="old"), old.gone(10, **grave))
        await old.sink.close()
        await harness.forget_generations(old.target)
        stage = replace(old, sink=harness.build())
        await stage.sink.open([(stage.target, stage.schema)])
        try:
            (held,) = await stage.all()
            assert (held.row["title"], held.generation, held.position) == ("old", 0, 10)
            assert await stage.held(**row) == held
            assert await stage.sink.sums(stage.target, stage.schema, EVER) == StoredSums(summed([held]), {})
            assert await stage.write(stage.put(9, **row), stage.put(9, **grave)) == ["stale"] * 2
            assert await stage.write(stage.put(10, **row), stage.put(10, **grave)) == ["applied"] * 2
            assert await stage.write(stage.gone(1, generation=1, **row)) == ["applied"]
            assert await stage.write(stage.put(11, **row)) == ["stale"]
            assert [found.key.values for found in await stage.all()] == [(2,)]
        finally:
            await stage.sink.close()


def summed(rows: list[StoredRow]) -> dict[int, BucketSum]:
    found: dict[int, BucketSum] = {}
    for row in rows:
        found[row.key.bucket] = found.get(row.key.bucket, BucketSum()) + BucketSum(1, *halves(row.hash))
    return found


async def test_sums_and_buckets_are_of_the_living_rows(stage: Stage) -> None:
    assert await stage.sink.sums(stage.target, stage.schema, EVER) == StoredSums({}, {})
    rows = [{"id": id_, "user_id": id_ % 4, "title": f"t{id_}"} for id_ in range(3000)]
    await stage.write(*(stage.put(10, generation=row["id"] % 3, **row) for row in rows))
    await stage.write(*(stage.gone(20, generation=3, **row) for row in rows[::5]))
    all_ = await stage.all()
    assert len(all_) == 2400
    stored = await stage.sink.sums(stage.target, stage.schema, EVER)
    assert stored == StoredSums(summed(all_), {})
    assert max(max(one.h1, one.h2) for one in stored.sums.values()) > 2**32
    some = {row.key.bucket for row in all_[:7]}
    assert await stage.all(some) == [row for row in all_ if row.key.bucket in some]
    assert await stage.all(range(1024)) == all_
    assert await stage.all([]) == []


async def test_sums_up_to_a_position_leave_out_and_name_what_is_stored_beyond_it(stage: Stage) -> None:
    rows = [{"id": id_, "user_id": id_ % 4, "title": f"t{id_}"} for id_ in range(2000)]
    await stage.write(*(stage.put(10, **row) for row in rows))
    before = await stage.all()
    changed, gone, new = rows[:3], rows[3:5], [{"id": 5000 + id_, "user_id": 1, "title": "new"} for id_ in range(2)]
    await stage.write(*(stage.put(11, before=row, **row | {"title": "other"}) for row in changed))
    await stage.write(*(stage.gone(11, **row) for row in gone), *(stage.put(12, **row) for row in new))
    moved = rows[5] | {"user_id": 3}
    await stage.write(stage.put(11, before=rows[5], **moved))
    told = [*changed, *gone, *new, rows[5], moved]
    keys = {key_of(stage.schema, row).canonical for row in told}
    stored = await stage.sink.sums(stage.target, stage.schema, 10)
    assert stored.sums == summed([row for row in before if row.key.canonical not in keys])
    beyond = [(stage.spec.place_of(stage.target, row), key_of(stage.schema, row)) for row in told]
    assert {
        (place, key or dict(beyond)[place].canonical): bucket for (place, key), bucket in stored.beyond.items()
    } == {(place, key.canonical): key.bucket for place, key in beyond}


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


async def test_a_late_upsert_does_not_resurrect_a_deleted_row(stage: Stage) -> None:
    await stage.write(stage.put(10, id=1, user_id=1, title="a"))
    assert await stage.write(stage.gone(20, id=1, user_id=1)) == ["applied"]
    assert await stage.write(stage.put(15, id=1, user_id=1, title="late")) == ["stale"]
    assert await stage.held(id=1, user_id=1) is None
    assert await stage.all() == []


async def test_a_delete_of_a_row_that_never_came_is_remembered(stage: Stage) -> None:
    assert await stage.write(stage.gone(20, id=1, user_id=1)) == ["applied"]
    assert await stage.write(stage.put(19, id=1, user_id=1, title="late")) == ["stale"]
    assert await stage.write(stage.gone(18, id=1, user_id=1)) == ["stale"]
    assert await stage.all() == []


async def test_an_upsert_newer_than_the_tombstone_brings_the_row_back(stage: Stage) -> None:
    await stage.write(stage.gone(20, id=1, user_id=1))
    assert await stage.write(stage.put(21, id=1, user_id=1, title="back")) == ["applied"]
    assert await titles(stage) == {1: "back"}
    assert await stage.write(stage.put(20, id=1, user_id=1, title="late")) == ["stale"]
    assert await stage.write(stage.gone(22, id=1, user_id=1)) == ["applied"]
    assert await stage.all() == []


async def test_several_changes_of_one_row_in_a_batch_end_in_the_last(stage: Stage) -> None:
    outcomes = await stage.write(
        stage.put(10, id=1, user_id=1, title="a"),
        stage.put(11, id=2, user_id=1, title="neighbour"),
        stage.gone(12, id=1, user_id=1),
        stage.put(13, id=1, user_id=1, title="b"),
        stage.put(13, id=1, user_id=1, title="c"),
        stage.put(9, id=1, user_id=1, title="late"),
    )
    assert outcomes == ["applied"] * 5 + ["stale"]
    assert await titles(stage) == {1: "c", 2: "neighbour"}


async def test_null_replaces_a_value(stage: Stage) -> None:
    await stage.write(stage.put(10, id=1, user_id=1, title="a", amount="1.00"))
    await stage.write(stage.put(11, id=1, user_id=1, title=None, amount=None))
    held = await stage.held(id=1, user_id=1)
    assert held is not None
    assert held.row == {"id": 1, "user_id": 1, "title": None, "amount": None}


async def test_a_stored_row_carries_its_position_hash_and_mapping(stage: Stage) -> None:
    position = (3 << 58) | (123_456_789 << 20) | 7
    (record,) = stage.put(position, id=1, user_id=1, title="a")
    await stage.write([record])
    held = await stage.held(id=1, user_id=1)
    assert held is not None
    assert (held.position, held.hash, held.mapping) == (position, record.hash, stage.target.mapping)
    assert (held.key, held.place) == (record.key, record.place)


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


async def test_poison_among_good_records_takes_no_neighbour(harness: Harness, stage: Stage) -> None:
    records = [record for id_ in range(40) for record in stage.put(10, id=id_, user_id=1, title=f"t{id_}")]
    bad = {3, 4, 39}
    async with harness.poison([records[index] for index in sorted(bad)]) as poisoned:
        batch = list(records)
        for index, record in zip(sorted(bad), poisoned, strict=True):
            batch[index] = record
        outcomes = await stage.outcomes(batch)
    assert {index for index, outcome in enumerate(outcomes) if outcome.kind == "rejected"} == bad
    assert all(outcome.reason for outcome in outcomes if outcome.kind == "rejected")
    assert set(await titles(stage)) == set(range(40)) - bad
    assert await stage.write(stage.put(11, id=3, user_id=1, title="healed")) == ["applied"]
    assert (await titles(stage))[3] == "healed"


async def test_two_targets_with_the_same_key_do_not_touch(harness: Harness, name: str) -> None:
    async with staged(harness, name) as one, staged(harness, name) as other:
        await one.write(one.put(10, id=1, user_id=1, title="one"))
        await other.write(other.gone(20, id=1, user_id=1))
        assert await titles(one) == {1: "one"}
        assert await titles(other) == {}
        assert await one.write(one.put(11, id=1, user_id=1, title="two")) == ["applied"]


async def test_a_batch_of_several_targets(harness: Harness, name: str) -> None:
    async with staged(harness, name) as one, staged(harness, name) as other:
        await one.sink.open([(other.target, other.schema)])
        outcomes = await one.write(
            one.put(10, id=1, user_id=1, title="one"),
            other.put(10, id=1, user_id=1, title="other"),
            one.gone(9, id=1, user_id=1),
        )
        assert outcomes == ["applied", "applied", "stale"]
        assert (await titles(one), await titles(other)) == ({1: "one"}, {1: "other"})


async def test_a_connection_that_breaks_in_mid_batch_loses_nothing(harness: Harness, stage: Stage) -> None:
    await stage.write(stage.put(1, id=1, user_id=1, title="before"))
    batch = [record for id_ in range(300) for record in stage.put(10, id=id_, user_id=1, title=f"t{id_}" * 50)]
    with pytest.raises(Transient):
        await harness.interrupt(stage.sink, batch)
    assert await stage.write(batch) == ["applied"] * 300
    assert len(await titles(stage)) == 300


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


async def test_long_and_unusual_text(stage: Stage) -> None:
    texts = ["", " ", "\u200b", "a'b\"c\\d", LONG, "{id}", "null", "\x01\x7f", "e\u0301 ≠ é", "𐍈🇨🇳👩‍👩‍👧"]
    await stage.write(*(stage.put(10, id=index, user_id=1, title=text) for index, text in enumerate(texts)))
    assert await titles(stage) == dict(enumerate(texts))


async def test_reading_and_walking_agree(stage: Stage) -> None:
    rows = [{"id": id_, "user_id": id_ % 7 + 1, "title": f"t{id_}"} for id_ in range(60)]
    await stage.write(*(stage.put(10 + row["id"], **row) for row in rows))
    await stage.write(*(stage.gone(1000, **row) for row in rows[::3]))
    read = [found for row in rows if (found := await stage.held(**row)) is not None]
    assert sorted(read, key=lambda row: row.key.canonical) == await stage.all()
    assert len(read) == 40


async def test_a_batch_of_five_thousand_rows(stage: Stage) -> None:
    batch = [
        record
        for id_ in range(5000)
        for record in stage.put(10 + id_, id=id_, user_id=id_ % 5, title=f"title {id_}", amount="10.00")
    ]
    assert await stage.write(batch) == ["applied"] * 5000
    assert await stage.write(batch) == ["applied"] * 5000
    assert len(await stage.all()) == 5000


async def test_a_row_that_moves_leaves_nothing_where_it_was(stage: Stage) -> None:
    old = {"id": 1, "user_id": 1, "title": "a"}
    await stage.write(stage.put(10, **old))
    moved = stage.put(11, before=old, id=1, user_id=2, title="a")
    assert set(await stage.write(moved)) == {"applied"}
    assert await stage.write(stage.put(10, **old)) == ["stale"]
    assert [row.row["user_id"] for row in await stage.all()] == [2]


_examples = itertools.count()
_step = st.tuples(st.integers(0, 2), st.one_of(st.none(), st.text("abc", max_size=2)))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.lists(_step, min_size=1, max_size=8))
async def test_any_order_repetition_and_portion_of_a_history_ends_in_its_last_state(
    shared: Stage, data: st.DataObject, history: list[tuple[int, str | None]]
) -> None:
    first = next(_examples) * 10
    changes, wanted = [], {}
    for position, (which, title) in enumerate(history, 1):
        row = {"id": first + which, "user_id": 1, "title": title}
        changes.append(shared.gone(position, **row) if title is None else shared.put(position, **row))
        wanted[first + which] = None if title is None else (title, position)
    repeated = changes + data.draw(st.lists(st.sampled_from(changes), max_size=4))
    arrived = data.draw(st.permutations(repeated))
    while arrived:
        size = data.draw(st.integers(1, len(arrived)))
        await shared.write(*arrived[:size])
        arrived = arrived[size:]
    for id_, expected in wanted.items():
        held = await shared.held(id=id_, user_id=1)
        assert (None if held is None else (held.row["title"], held.position)) == expected


def test_every_sink_is_put_through_this() -> None:
    assert set(HARNESSES) == set(SPECS)
    assert PLAIN.key == ("id",)
