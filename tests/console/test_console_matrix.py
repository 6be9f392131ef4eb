"""What the page says of what the agents said."""

from typing import Any

import msgspec
import pytest

from tailrace.agent.api import Capture, State, Store, StoreState
from tailrace.console.matrix import OLD_MS, Cell, Heard, Row, cell_of, headline_of, part, row_of, silence_of
from tailrace.console.watching import frame_of

NOW = 1_795_000_000_000


def store(sink: str, state: StoreState = "equal", **other: Any) -> Store:
    whole = Store(
        sink=sink,
        state=state,
        reason="",
        lag_s=0.02,
        objective_s=0.1,
        checked_at_ms=NOW - 60_000,
        depth="quick",
        verdict="equal",
        different=0,
        undecided=0,
        open_incidents=0,
        letters=0,
    )
    return msgspec.structs.replace(whole, **other)


def state(*stores: Store, version: str = "future", at_ms: int = NOW) -> State:
    return State(version, at_ms, Capture(None, None, "running"), [], [*stores], None, [], [], [])


def heard(*stores: Store, **other: Any) -> Heard:
    return Heard("future", state(*stores), NOW, **other)


def row(version: str, *states: StoreState) -> Row:
    cells = [Cell(f"s{number}", one, "", checked_at_ms=NOW - 1000 * (number + 1)) for number, one in enumerate(states)]
    return Row(version, True, "", NOW, cells)


def test_a_row_has_every_declared_sink_in_order_and_then_what_only_the_agent_knows() -> None:
    found = row_of(heard(store("neo4j"), store("redis")), ["redis", "postgres"], NOW)
    assert found.answers
    assert [(cell.sink, cell.state) for cell in found.cells] == [
        ("redis", "equal"),
        ("postgres", "unknown"),
        ("neo4j", "equal"),
    ]
    assert found.cells[1] == Cell("postgres", "unknown", "the agent says nothing of this store")


def test_a_store_is_shown_as_its_agent_tells_it() -> None:
    told = store("redis", "behind", reason="the lane realtime is 4 s behind", lag_s=4.0, letters=2)
    assert cell_of("redis", told, "") == Cell(
        sink="redis",
        state="behind",
        reason="the lane realtime is 4 s behind",
        lag_s=4.0,
        objective_s=0.1,
        late=True,
        checked_at_ms=NOW - 60_000,
        depth="quick",
        verdict="equal",
        different=0,
        undecided=0,
        open_incidents=0,
        letters=2,
    )


@pytest.mark.parametrize(("lag_s", "late"), [(None, None), (0.0, False), (0.1, False), (0.11, True)])
def test_a_lag_that_is_not_known_is_neither_late_nor_in_time(lag_s: float | None, late: bool | None) -> None:
    assert cell_of("redis", store("redis", lag_s=lag_s), "").late is late


@pytest.mark.parametrize("shown", ["equal", "behind", "different", "unknown"])
def test_silence_makes_every_state_unknown_and_forgets_the_lag(shown: StoreState) -> None:
    cell = cell_of("redis", store("redis", shown), "no agent runs")
    assert (cell.state, cell.reason, cell.lag_s, cell.late) == ("unknown", "no agent runs", None, None)
    assert cell.checked_at_ms == NOW - 60_000  # when it was audited last stays true


@pytest.mark.parametrize(
    ("other", "state"),
    [
        ({"verdict": "equal"}, "equal"),
        ({"verdict": "different"}, "equal"),  # its incidents have closed since
        ({"verdict": "undecided"}, "unknown"),
        ({"verdict": None}, "unknown"),
        ({"checked_at_ms": None}, "unknown"),
    ],
)
def test_equal_is_shown_only_where_an_audit_could_decide(other: dict[str, Any], state: StoreState) -> None:
    assert cell_of("redis", store("redis", **other), "").state == state


def test_why_an_agent_counts_as_silent() -> None:
    assert silence_of(heard(), NOW) == ""
    assert silence_of(heard(), NOW + OLD_MS) == ""
    assert silence_of(heard(), NOW + OLD_MS + 1000) == "the agent's last word is 11 s old"
    assert silence_of(Heard("future", state(at_ms=NOW - 60_000), NOW), NOW) == "the agent's last word is 60 s old"
    assert silence_of(heard(silence="no agent runs"), NOW) == "no agent runs"
    assert silence_of(Heard("future"), NOW) == "the agent has not answered yet"
    assert silence_of(Heard("dao", state(), NOW), NOW) == "the agent says that it is of version future"


def test_a_frame_tells_states_of_agents_that_answer_only() -> None:
    silent = Heard("dao", state(store("redis"), version="dao"), NOW - 5000, "the agent does not answer within 3 s")
    frame = frame_of([heard(store("redis")), silent], ["redis"], write=False, now_ms=NOW)
    assert [(one.version, one.answers, one.heard_ms) for one in frame.rows] == [
        ("future", True, NOW),
        ("dao", False, NOW - 5000),
    ]
    assert set(frame.states) == {"future"}
    assert frame.headline.state == "unknown"


def test_the_headline_is_as_bad_as_the_worst_store() -> None:
    everything = row("future", "equal", "behind", "unknown", "different")
    found = headline_of([everything])
    assert (found.state, found.title) == ("different", "Not everything is equal")
    assert found.text == (
        "1 of 4 stores differs: future s3. 1 of 4 stores is unknown: future s2. 1 of 4 stores is behind: future s1. "
        "1 of 4 stores is equal to MySQL."
    )
    assert found.counts == {"different": 1, "unknown": 1, "behind": 1, "equal": 1}
    assert headline_of([row("a", "equal"), row("b", "unknown", "behind")]).state == "unknown"
    assert headline_of([row("a", "equal"), row("b", "behind")]).state == "behind"


def test_the_headline_of_what_is_equal_says_on_what_it_rests() -> None:
    found = headline_of([row("future", "equal", "equal"), row("dao", "equal")])
    assert (found.state, found.title, found.text) == (
        "equal",
        "Everything is equal",
        "All stores are equal to MySQL.",
    )
    assert found.checked_at_ms == NOW - 2000


def test_the_headline_says_where_records_are_not_accounted_for_though_all_rows_are_equal() -> None:
    told = [store("redis", unaccounted=2), store("sqlite", unaccounted=0), store("neo4j")]
    rows = [row_of(heard(*told), [], NOW), row_of(heard(store("redis", unaccounted=1)), [], NOW)]
    found = headline_of(rows)
    assert (found.state, found.title) == ("equal", "Everything is equal")
    assert found.text == ("All stores are equal to MySQL. 3 records are not accounted for: future redis, future redis.")
    assert headline_of(rows[1:]).text == (
        "1 of 1 stores is equal to MySQL. 1 record is not accounted for: future redis."
    )


def test_nothing_at_all_is_not_equal() -> None:
    assert headline_of([]).state == "unknown"
    assert headline_of([Row("future", True, "", NOW, [])]).text == "No version is declared, so nothing is watched."


def test_many_names_are_cut_short() -> None:
    names = [f"future s{number}" for number in range(6)]
    told = "6 of 9 stores are unknown: future s0, future s1, future s2, future s3 and 2 more."
    assert part(6, 9, "unknown", names) == told
    assert part(1, 1, "different", ["future redis"]) == "1 of 1 stores differs."
