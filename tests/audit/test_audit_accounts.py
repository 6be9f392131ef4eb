"""Records that nobody accounts for are an incident of their own, which counts open and close and no audit does."""

from collections.abc import Sequence

from audit.accounts import KEEP_MS, behind, by_sink, unaccounted, worth_keeping
from audit.entry import Accounts, Remainder
from audit.incidents import UNACCOUNTED, Incident, Seen, Spot, step, to_look_at_again

NOON = 1_700_000_000_000


def left(remainder: int, *, sink: str = "redis", target: str = "job:{id}", captured: int = 10) -> Remainder:
    return Remainder(sink, "jobs", target, captured, 0, remainder, NOON)


def counted(*targets: Remainder, id_: str = "a", at_ms: int = NOON) -> Accounts:
    return Accounts(id_, at_ms, 0.5, [*targets])


def audited(open_: Sequence[Incident]) -> list[Incident]:
    """What stays open behind a deep audit that finds everything equal."""
    return step(open_, [Seen("redis", "jobs", {}, sure=True, whole=True)], audit="d", depth="deep", at_ms=NOON).open


def test_what_is_left_over_in_a_table_of_a_sink_is_one_incident_until_nothing_is() -> None:
    first = behind([], counted(left(3), left(-2, target="again:{id}"), left(0, sink="postgres")))
    (one,) = first.opened
    assert (one.sink, one.table, one.class_, one.rows, one.audits, one.opened_by) == (
        "redis", "jobs", UNACCOUNTED, 5, 1, "a",
    )  # fmt: skip
    again = behind(first.open, counted(left(4), id_="b", at_ms=NOON + 60_000))
    assert (again.opened, again.closed) == ([], [])
    (same,) = again.open
    assert (same.id, same.rows, same.audits, same.opened_ms, same.last_ms) == (one.id, 4, 2, NOON, NOON + 60_000)
    last = behind(again.open, counted(left(0), id_="c", at_ms=NOON + 120_000))
    assert (last.open, last.opened) == ([], [])
    (closed,) = last.closed
    assert (closed.id, closed.closed_by, closed.closed_ms) == (one.id, "c", NOON + 120_000)


def test_counts_leave_rows_alone_and_audits_leave_records_alone() -> None:
    missing = step(
        [],
        [Seen("redis", "jobs", {"missing": [Spot({"id": 1}, "job:{id}")]}, sure=True, whole=True)],
        audit="q",
        depth="quick",
        at_ms=NOON,
    ).open
    both = behind(missing, counted(left(1))).open
    assert [one.class_ for one in both] == ["missing", UNACCOUNTED]
    assert [one.class_ for one in audited(both)] == [UNACCOUNTED]
    assert behind(both, counted(left(0))).open == missing
    assert to_look_at_again(audited(both), set()) == []


def test_records_lost_and_counted_twice_do_not_make_up_for_each_other() -> None:
    targets = [left(2), left(-2, target="again:{id}"), left(1, sink="postgres")]
    assert unaccounted(targets) == {("redis", "jobs"): 4, ("postgres", "jobs"): 1}
    assert by_sink(targets) == {"redis": 4, "postgres": 1}
    assert by_sink(targets)["sqlite"] == 0


def test_a_count_is_kept_where_it_says_something_new_or_an_hour_went_by() -> None:
    before = counted(left(0))
    assert worth_keeping(None, before)
    assert not worth_keeping(before, counted(left(0, captured=99), at_ms=NOON + KEEP_MS - 1))
    assert worth_keeping(before, counted(left(0), at_ms=NOON + KEEP_MS))
    assert worth_keeping(before, counted(left(1)))
