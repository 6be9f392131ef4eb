"""From what an audit found to what incidents are made of, and back to rows that are looked at again."""

from audit.incidents import Spot
from audit.report import Difference, Report, Result, Verdict
from changes.key import key_of
from changes.schema import Column, Kind, TableSchema
from tailrace.agent.findings import entry_of, keys_of, seen_of, undone

SCHEMA = TableSchema("d", "jobs", (Column("id", Kind.INTEGER, "int"), Column("t", Kind.TEXT, "varchar(9)")), ("id",))
MISSING = Difference("missing", {"id": 1}, [])
ALTERED = Difference("altered", {"id": 2}, ["t"])


def result(sink: str, verdict: Verdict, different: int, *found: Difference, reason: str = "") -> Result:
    return Result(sink, "jobs", "jobs", verdict, 5, 5, 5, 0, different, list(found), reason)


def report(*results: Result) -> Report:
    return Report("different", "v", "0" * 19, "quick", 1.5, list(results))


def test_a_report_alone_tells_what_was_seen_but_not_where_it_lies() -> None:
    one, other = seen_of(report(result("postgres", "different", 2, MISSING, ALTERED), result("redis", "equal", 0)))
    assert (one.scope, one.sure, one.whole) == (("postgres", "jobs"), True, True)
    assert one.found == {"missing": [Spot({"id": 1}, "jobs")], "altered": [Spot({"id": 2}, "jobs")]}
    assert (other.scope, other.found, other.sure, other.whole) == (("redis", "jobs"), {}, True, True)


def test_what_was_not_listed_or_not_decided_is_not_called_gone() -> None:
    (more,) = seen_of(report(result("postgres", "different", 7, MISSING)))
    assert (more.sure, more.whole) == (True, False)
    (away,) = seen_of(report(result("postgres", "undecided", 0, reason="it is away")))
    assert (away.sure, away.whole) == (False, True)
    (partly,) = seen_of(report(result("postgres", "different", 1, MISSING, reason="it went away")))
    assert partly.sure is False


def test_several_places_of_a_sink_are_one_scope() -> None:
    (seen,) = seen_of(report(result("postgres", "equal", 0), result("postgres", "undecided", 0, reason="late")))
    assert seen.sure is False


def test_rows_are_looked_at_where_they_were_seen() -> None:
    scope = ("postgres", "jobs")
    spots = [
        (scope, Spot({"id": 1}, "jobs", "")),
        (scope, Spot({"id": 2}, "jobs")),
        (scope, Spot({"other": 3}, "jobs", "")),
        (("postgres", "gone"), Spot({"id": 4}, "gone", "")),
    ]
    keys, looked = keys_of(spots, {"jobs": SCHEMA})
    assert keys == {
        "jobs": {
            key_of(SCHEMA, {"id": 1}): {("postgres", "jobs"): [""]},
            key_of(SCHEMA, {"id": 2}): {("postgres", "jobs"): []},
        }
    }
    assert looked == {scope: {spots[0][1].id, spots[1][1].id}}


def test_an_entry_adds_up_what_the_report_says() -> None:
    found = report(
        result("postgres", "different", 2, MISSING, ALTERED),
        result("postgres", "equal", 0),
        result("redis", "equal", 0),
    )
    entry = entry_of("a", "asked", 1000, found, tables=("jobs",), sinks=())
    assert (entry.verdict, entry.rows, entry.different, entry.undecided) == ("different", 15, 2, 0)
    assert entry.by_sink == {"postgres": "different", "redis": "equal"}
    assert (entry.seconds, entry.position, entry.depth, entry.why) == (1.5, "0" * 19, "quick", "asked")
    assert entry.short.id == "a"
    nothing = undone(entry.short, 2.0, ["redis"], "no MySQL")
    assert (nothing.verdict, nothing.by_sink, nothing.reason) == ("undecided", {"redis": "undecided"}, "no MySQL")
    assert (nothing.rows, nothing.different) == (None, None)
