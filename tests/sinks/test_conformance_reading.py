"""Conformance, reading back: what an audit is told of stored rows, by key, by walk and by sum."""

from dataclasses import replace

from conformance import Harness, Stage, staged

from changes.canonical import halves
from changes.key import key_of
from changes.record import BucketSum, StoredRow, StoredSums

EVER = (1 << 63) - 1


async def test_a_stored_row_carries_its_position_hash_and_mapping(stage: Stage) -> None:
    position = (3 << 58) | (123_456_789 << 20) | 7
    (record,) = stage.put(position, id=1, user_id=1, title="a")
    await stage.write([record])
    held = await stage.held(id=1, user_id=1)
    assert held is not None
    assert (held.position, held.hash, held.mapping) == (position, record.hash, stage.target.mapping)
    assert (held.key, held.place) == (record.key, record.place)


async def test_reading_and_walking_agree(stage: Stage) -> None:
    rows = [{"id": id_, "user_id": id_ % 7 + 1, "title": f"t{id_}"} for id_ in range(60)]
    await stage.write(*(stage.put(10 + row["id"], **row) for row in rows))
    await stage.write(*(stage.gone(1000, **row) for row in rows[::3]))
    read = [found for row in rows if (found := await stage.held(**row)) is not None]
    assert sorted(read, key=lambda row: row.key.canonical) == await stage.all()
    assert len(read) == 40


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
