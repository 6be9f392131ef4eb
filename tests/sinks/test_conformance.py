"""The conformance suite: what `sinks.contract` promises, of every sink in the registry, on real servers.

Here what concerns batches and the sink as a whole; the guard, values and reading back have files of their own.
"""

import pytest
from conformance import PLAIN, Harness, Stage, new_place, staged
from harnesses import HARNESSES

from changes.errors import Transient
from sinks.registry import SPECS


async def test_opening_and_closing_twice_changes_nothing(stage: Stage) -> None:
    await stage.write(stage.put(10, id=1, user_id=1, title="kept"))
    await stage.sink.open([(stage.target, stage.schema)])
    await stage.sink.open([(stage.target, stage.schema)])
    assert await stage.titles() == {1: "kept"}
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


async def test_a_batch_of_five_thousand_rows(stage: Stage) -> None:
    batch = [
        record
        for id_ in range(5000)
        for record in stage.put(10 + id_, id=id_, user_id=id_ % 5, title=f"title {id_}", amount="10.00")
    ]
    assert await stage.write(batch) == ["applied"] * 5000
    assert await stage.write(batch) == ["applied"] * 5000
    assert len(await stage.all()) == 5000


async def test_two_targets_with_the_same_key_do_not_touch(harness: Harness, name: str) -> None:
    async with staged(harness, name) as one, staged(harness, name) as other:
        await one.write(one.put(10, id=1, user_id=1, title="one"))
        await other.write(other.gone(20, id=1, user_id=1))
        assert await one.titles() == {1: "one"}
        assert await other.titles() == {}
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
        assert (await one.titles(), await other.titles()) == ({1: "one"}, {1: "other"})


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
    assert set(await stage.titles()) == set(range(40)) - bad
    assert await stage.write(stage.put(11, id=3, user_id=1, title="healed")) == ["applied"]
    assert (await stage.titles())[3] == "healed"


async def test_a_connection_that_breaks_in_mid_batch_loses_nothing(harness: Harness, stage: Stage) -> None:
    await stage.write(stage.put(1, id=1, user_id=1, title="before"))
    batch = [record for id_ in range(300) for record in stage.put(10, id=id_, user_id=1, title=f"t{id_}" * 50)]
    with pytest.raises(Transient):
        await harness.interrupt(stage.sink, batch)
    assert await stage.write(batch) == ["applied"] * 300
    assert len(await stage.titles()) == 300


def test_every_sink_is_put_through_this() -> None:
    assert set(HARNESSES) == set(SPECS)
    assert PLAIN.key == ("id",)
