"""What a difference is called."""

from dataclasses import replace

import msgspec
import pytest
from audit_model import SCHEMA, TARGETS, stored

from audit.compare import Expected, Found, LastSaid, explained, judge
from audit.report import Class, verdict_of
from changes.canonical import row_hash

TARGET = TARGETS[0]
RIGHT = stored(TARGET, 1, (5, 1), 40)
HASH = row_hash(SCHEMA.columns, RIGHT.row)
ASKED = Expected("", RIGHT.row, HASH, HASH)


def test_a_row_in_a_second_place_is_extra_there() -> None:
    found = list(judge(TARGET, SCHEMA, ASKED, {"": RIGHT, "elsewhere": RIGHT}, newest=50))
    assert found == [("elsewhere", Found("extra", (), 40))]


def test_a_missing_row_is_missing_where_it_should_be() -> None:
    assert list(judge(TARGET, SCHEMA, ASKED, {"": None, "elsewhere": None}, newest=50)) == [("", Found("missing"))]


@pytest.mark.parametrize(
    ("found", "last", "class_"),
    [
        (Found("extra", (), 40), LastSaid(50, True), "resurrected"),
        (Found("extra", (), 40), LastSaid(50, False), "extra"),
        (Found("extra", (), 40), None, "extra"),
        (Found("altered", ("v",), 40), LastSaid(40, False), "altered"),
        (Found("altered", ("v",), 40), LastSaid(50, False), "stale"),
        (Found("altered", ("v",), 60), LastSaid(50, False), "impossible position"),
        (Found("old mapping", (), 60), LastSaid(50, False), "impossible position"),
        (Found("wrong generation", (), 60), LastSaid(50, False), "wrong generation"),
        (Found("missing"), LastSaid(50, False), "missing"),
    ],
)
def test_the_last_record_explains(found: Found, last: LastSaid | None, class_: Class) -> None:
    assert explained(found, last) == Found(class_, found.columns, found.position)


def test_a_generation_that_is_not_the_expected_one_is_the_difference() -> None:
    older = msgspec.structs.replace(RIGHT, generation=1, hash=5)
    newer = replace(ASKED, generation=2)
    assert list(judge(TARGET, SCHEMA, newer, {"": older}, newest=50)) == [("", Found("wrong generation", (), 40))]


def test_a_flaw_of_the_topic_is_a_difference_whatever_the_store_holds() -> None:
    flawed = replace(ASKED, flaw="stale")
    assert list(judge(TARGET, SCHEMA, flawed, {"": RIGHT}, newest=50)) == [("", Found("stale", (), 40))]
    assert list(judge(TARGET, SCHEMA, flawed, {"": None}, newest=50)) == [("", Found("stale", (), None))]


@pytest.mark.parametrize(
    ("different", "undecided", "keys", "verdict"),
    [
        (0, 0, 0, "equal"),
        (1, 0, 9, "different"),
        (0, 1, 9_999, "undecided"),
        (0, 1, 10_000, "equal"),
        (0, 1, 0, "undecided"),
    ],
)
def test_equal_allows_one_undecided_key_in_ten_thousand(
    different: int, undecided: int, keys: int, verdict: str
) -> None:
    assert verdict_of(different, undecided, keys) == verdict


def test_a_row_that_is_broken_beside_its_values_is_altered_in_those_columns() -> None:
    whole = [column.name for column in SCHEMA.columns]
    torn = msgspec.structs.replace(RIGHT, broken=(whole[-1],))
    assert list(judge(TARGET, SCHEMA, ASKED, {"": torn}, newest=50)) == [("", Found("altered", (whole[-1],), 40))]
    unknown = replace(ASKED, row=None)
    assert list(judge(TARGET, SCHEMA, unknown, {"": torn}, newest=50)) == [("", Found("altered", (whole[-1],), 40))]
