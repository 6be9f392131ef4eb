"""What is asked of capture for a difference, and keys as people write them."""

from dataclasses import replace

import msgspec
import pytest
from audit_model import TARGETS, TOPIC, MiniSink, World, stored

from audit.compare import Found
from audit.repair import Plan, hint_of, placing_columns, planned, verdict_behind
from audit.report import Report, Result, Verdict
from audit.side import Finding, Side
from audit.trace import read_key
from changes.errors import Misconfigured
from changes.position import to_text
from changes.progress import Asked
from streams.follow import Span
from streams.watch import LaneId

CACHED = msgspec.structs.replace(TARGETS[0], sink="redis", place="note:{id}:{v}")


def finding(number: int, key: int, found: Found, place: str = "") -> tuple[Side, Finding]:
    one = TARGETS[number]
    side = Side(number, one, MiniSink(World(), number), LaneId("v", one.sink, "realtime", (TOPIC,)))  # type: ignore[arg-type]
    lies = None if found.class_ == "missing" else stored(one, key, (5, 1), 40)
    return side, Finding(stored(one, key, (5, 1), 40).key, place, found, lies, Span({}))


def test_a_key_is_asked_for_once_and_looked_at_in_every_place() -> None:
    found = {"t": [finding(0, 1, Found("altered", ("v",), 40)), finding(1, 1, Found("missing"), "1")]}
    plan = planned(found, TARGETS, different=2, cap=10)
    assert plan.rows == {"t": [Asked([1])]}
    ((key, places),) = plan.keys["t"].items()
    assert (key.values, places) == ((1,), {("postgres", "t"): [""], ("sqlite", "t"): ["1"]})
    assert plan.left_out == 0


def test_no_more_is_asked_for_than_the_cap_allows() -> None:
    found = {"t": [finding(0, key, Found("missing")) for key in range(5)]}
    plan = planned(found, TARGETS, different=9, cap=3)
    assert (plan.asked, plan.left_out) == (3, 6)


def test_an_extra_row_is_asked_for_with_the_place_where_it_lies() -> None:
    side, one = finding(1, 1, Found("extra", (), 40), place="2")
    plan = planned({"t": [(side, replace(one, place="2"))]}, TARGETS, different=1, cap=10)
    assert plan.rows == {"t": [Asked([1], {"u": "2"})]}


def test_a_row_beyond_history_is_asked_for_with_the_position_to_be_written_over() -> None:
    side, one = finding(0, 1, Found("extra", (), 40))
    far = replace(one, beyond=True)
    assert planned({"t": [(side, far)]}, TARGETS, different=1, cap=10).rows["t"][0].over == to_text(40)
    named = finding(0, 1, Found("impossible position", (), 40))
    assert planned({"t": [named]}, TARGETS, different=1, cap=10).rows == {"t": [Asked([1], {}, to_text(40))]}


def test_the_columns_that_place_a_row_are_those_of_every_target() -> None:
    assert placing_columns([*TARGETS, CACHED]) == {"id", "v", "u"}
    lies = stored(TARGETS[0], 1, (5, 1), 40)
    assert hint_of(CACHED, {"id", "v", "u"}, lies, "note:1:5") == {"id": 1, "v": 5, "u": 1}


def test_a_hint_never_names_another_row() -> None:
    lies = stored(TARGETS[1], 7, (5, 1), 40)
    users = msgspec.structs.replace(TARGETS[1], user="id")
    assert hint_of(users, {"id"}, lies, "3") == {"id": 7}


def test_a_place_that_no_row_leads_to_is_taken_for_nobody_s_file() -> None:
    lies = stored(TARGETS[0], 1, (5, 1), 40)
    found = msgspec.structs.replace(TARGETS[0], sink="weaviate", place="Note")
    assert hint_of(found, {"id", "u"}, lies, "c0ffee00-0000-4000-8000-000000000001") == {"id": 1, "u": 1}


@pytest.mark.parametrize(
    ("text", "names", "values"),
    [
        ("7", ["id"], [7]),
        ("id=7", ["id"], [7]),
        ("abc", ["code"], ["abc"]),
        ("code=abc", ["code"], ["abc"]),
        ("b=2,a=1", ["a", "b"], [1, 2]),
        ('{"a": 1, "b": "x"}', ["a", "b"], [1, "x"]),
        ("[1, 2]", ["a", "b"], [1, 2]),
    ],
)
def test_a_key_is_written_as_people_write_it(text: str, names: list[str], values: list[object]) -> None:
    assert read_key(text, names) == values


@pytest.mark.parametrize("text", ["7", "id=7", '{"id": 7}', "[1, 2, 3]"])
def test_a_key_of_another_shape_is_refused_with_the_right_one(text: str) -> None:
    with pytest.raises(Misconfigured, match="a, b"):
        read_key(text, ["a", "b"])


def report(verdict: Verdict) -> Report:
    result = Result("postgres", "t", "t", verdict, 1, 1, 1, 0, 0, [])
    return Report(verdict, "v", "0", "keys", 0.1, [result])


@pytest.mark.parametrize(
    ("before", "after", "left_out", "verdict"),
    [
        ("different", "equal", 0, "equal"),
        ("different", "equal", 1, "different"),
        ("different", "different", 0, "different"),
        ("undecided", "equal", 0, "undecided"),
        ("different", "undecided", 0, "undecided"),
    ],
)
def test_a_repair_decides_only_what_it_looked_at(
    before: Verdict, after: Verdict, left_out: int, verdict: Verdict
) -> None:
    assert verdict_behind(report(before), report(after), left_out) == verdict


def test_an_empty_plan_asks_for_nothing() -> None:
    assert Plan({}, {}, 0).asked == 0
