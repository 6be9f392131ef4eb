"""What a worker knows of its rows without asking: never more than what was said last, only while they are its own."""

from streams.enrich.derive import Emitted
from streams.enrich.known import Known

SAID = Emitted(1, 10, "a" * 16, "b" * 16)
SAME = Emitted(1, 20, "a" * 16, "b" * 16)


def test_the_same_values_at_a_later_position_are_known() -> None:
    known = Known()
    assert not known.says(1, b"k", SAME)
    known.learn(1, b"k", SAID)
    assert known.says(1, b"k", SAME)
    assert not known.says(1, b"other", SAME)
    assert not known.says(1, b"k", Emitted(2, 20, "a" * 16, "b" * 16))
    assert not known.says(1, b"k", Emitted(1, 20, "c" * 16, "b" * 16))
    assert not known.says(1, b"k", Emitted(1, 20, "a" * 16, "c" * 16))


def test_all_is_forgotten_when_partitions_are_handed_out_anew() -> None:
    known = Known()
    known.says(1, b"k", SAME)
    known.learn(1, b"k", SAID)
    assert not known.says(2, b"k", SAME)
    known.learn(1, b"k", SAID)  # of work that was begun before
    assert not known.says(2, b"k", SAME)
    assert not known.says(1, b"k", SAME)


def test_what_may_get_better_what_is_gone_and_what_others_spoke_of_is_not_known() -> None:
    known = Known()
    known.says(1, b"k", SAME)
    for last in (Emitted(1, 10, "a" * 16, "b" * 16, degraded=True), Emitted(1, 10, "", ""), None):
        known.learn(1, b"k", SAID)
        known.learn(1, b"k", last)
        assert not known.says(1, b"k", SAME)


def test_no_more_rows_are_remembered_than_fit() -> None:
    known = Known(most=2)
    known.says(1, b"k", SAME)
    for key in (b"1", b"2"):
        known.learn(1, key, SAID)
    assert known.says(1, b"1", SAME)
    known.learn(1, b"3", SAID)
    assert [known.says(1, key, SAME) for key in (b"1", b"2", b"3")] == [True, False, True]
