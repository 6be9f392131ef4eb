"""Progress beside the data: end offsets folded from records, and the nested form that JSON holds."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from changes.position import to_text
from changes.progress import Checkpoint, Offsets, Partial, Positions, SnapshotState, fold, internal_topic, unfold

ends = st.dictionaries(st.tuples(st.sampled_from(["a", "b.c"]), st.integers(0, 12)), st.integers(0, 2**63 - 1))


def positions(offsets: Offsets, *, full: bool) -> Positions:
    return Positions(to_text(5), 1, 0, 0, full, unfold(offsets), 0)


@given(ends, ends)
def test_a_full_record_replaces_what_was_known(known: Offsets, told: Offsets) -> None:
    assert fold(known, positions(told, full=True)) == told


@given(ends, ends)
def test_another_record_moves_only_what_it_names(known: Offsets, told: Offsets) -> None:
    assert fold(known, positions(told, full=False)) == known | told


@given(ends, ends)
def test_folding_leaves_its_argument_alone(known: Offsets, told: Offsets) -> None:
    before = dict(known)
    fold(known, positions(told, full=False))
    assert known == before


@given(ends)
def test_the_nested_form_survives_json_and_folds_back(known: Offsets) -> None:
    again = msgspec.json.decode(msgspec.json.encode(positions(known, full=True)), type=Positions)
    assert fold({}, again) == known


def test_the_nested_form_stands_in_order() -> None:
    nested = unfold({("b", 10): 1, ("b", 2): 3, ("a", 0): 5})
    assert [(topic, list(partitions)) for topic, partitions in nested.items()] == [("a", ["0"]), ("b", ["2", "10"])]


@pytest.mark.parametrize("after", [None, [7], ["Abc", "2026-01-02Z", True]])
def test_a_snapshot_state_survives_json(after: list[bool | int | float | str | None] | None) -> None:
    state = SnapshotState("jobs", "running", 2000, after, 100_000)
    assert msgspec.json.decode(msgspec.json.encode(state), type=SnapshotState) == state


@pytest.mark.parametrize("partial", [None, Partial("u:5", {"jobs": 3})])
def test_a_checkpoint_survives_json(partial: Partial | None) -> None:
    checkpoint = Checkpoint("u:1-4", 1, to_text(99), "bin.000001", 4, partial)
    assert msgspec.json.decode(msgspec.json.encode(checkpoint), type=Checkpoint) == checkpoint


def test_internal_topics_are_named_by_version() -> None:
    assert internal_topic("future", "positions") == "future.tailrace.positions"
