"""What the page's matrix says, of what the agents said: version × store. Pure.

Two rules stand above everything that an agent says. A store of which nothing is known is *unknown*, with the reason,
whatever was known before. And *equal* is only shown where an audit has looked at that store and could decide: it found
nothing, or what it found has been seen equal since.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from audit.report import Verdict
from tailrace.agent.api import Depth, State, Store, StoreState

OLD_MS = 10_000
"""What an agent said is shown for so long; behind that it is silence."""

WORST_FIRST: Sequence[StoreState] = ("different", "unknown", "behind", "equal")
NAMED = 4
"""So many stores are named in the headline; the matrix has them all."""

TITLES: Mapping[StoreState, str] = {
    "different": "Not everything is equal",
    "unknown": "Not everything is known",
    "behind": "Not everything has arrived",
    "equal": "Everything is equal",
}


@dataclass(frozen=True)
class Heard:
    """What one version's agent said last. ``silence`` says why it does not answer now, and is empty where it does.

    ``heard_ms`` is when the console heard ``state``, by the console's clock; both are ``None`` before the first time.
    """

    version: str
    state: State | None = None
    heard_ms: int | None = None
    silence: str = ""


class Cell(msgspec.Struct, frozen=True):
    """One store of one version. ``late`` is ``None`` where the lag is not known."""

    sink: str
    state: StoreState
    reason: str
    lag_s: float | None = None
    objective_s: float | None = None
    late: bool | None = None
    checked_at_ms: int | None = None
    depth: Depth | None = None
    verdict: Verdict | None = None
    different: int | None = None
    undecided: int | None = None
    open_incidents: int | None = None
    letters: int | None = None
    unaccounted: int | None = None


class Row(msgspec.Struct, frozen=True):
    """One version. ``answers`` says whether its agent does; where not, ``silence`` says why, and the figures in
    ``cells`` are those that were heard at ``heard_ms``."""

    version: str
    answers: bool
    silence: str
    heard_ms: int | None
    cells: list[Cell]


class Headline(msgspec.Struct, frozen=True):
    """The answer, in a title of a few words and a sentence of figures. ``checked_at_ms`` is the oldest audit that an
    *equal* rests on."""

    state: StoreState
    title: str
    text: str
    counts: dict[StoreState, int]
    checked_at_ms: int | None


def row_of(heard: Heard, declared: Sequence[str], now_ms: int) -> Row:
    """One version's row: a cell for each declared sink, then for those that only the agent knows."""
    silence = silence_of(heard, now_ms)
    told = {store.sink: store for store in heard.state.stores} if heard.state is not None else {}
    cells = [cell_of(sink, told.get(sink), silence) for sink in dict.fromkeys([*declared, *told])]
    return Row(heard.version, not silence, silence, heard.heard_ms, cells)


def silence_of(heard: Heard, now_ms: int) -> str:
    """Why nothing is known of this version now; empty where its agent answers and what it says is of now."""
    if heard.silence:
        return heard.silence
    if heard.state is None or heard.heard_ms is None:
        return "the agent has not answered yet"
    if heard.state.version != heard.version:
        return f"the agent says that it is of version {heard.state.version}"
    said_ms = min(heard.state.at_ms, heard.heard_ms)
    if now_ms - said_ms > OLD_MS:
        return f"the agent's last word is {(now_ms - said_ms) // 1000} s old"
    return ""


def cell_of(sink: str, store: Store | None, silence: str) -> Cell:
    """What is shown of a store, of which its agent said ``store``; unknown where there is ``silence``."""
    if store is None:
        return Cell(sink, "unknown", silence or "the agent says nothing of this store")
    state, reason = store.state, store.reason
    if silence:
        state, reason = "unknown", silence
    elif state == "equal" and (store.verdict in {None, "undecided"} or store.checked_at_ms is None):
        state, reason = "unknown", "no audit has found it equal yet"
    return Cell(
        sink=sink,
        state=state,
        reason=reason,
        lag_s=None if silence else store.lag_s,
        objective_s=store.objective_s,
        late=None if silence or store.lag_s is None else store.lag_s > store.objective_s,
        checked_at_ms=store.checked_at_ms,
        depth=store.depth,
        verdict=store.verdict,
        different=store.different,
        undecided=store.undecided,
        open_incidents=store.open_incidents,
        letters=store.letters,
        unaccounted=store.unaccounted,
    )


def headline_of(rows: Sequence[Row]) -> Headline:
    """The whole in one answer: as bad as the worst store; nothing at all is not equal."""
    found = [(row.version, cell) for row in rows for cell in row.cells]
    counts: dict[StoreState, int] = {state: sum(cell.state == state for _, cell in found) for state in WORST_FIRST}
    worst: StoreState = next((state for state in WORST_FIRST if counts[state]), "unknown")
    parts = []
    for state in WORST_FIRST:
        if counts[state]:
            names = [f"{version} {cell.sink}" for version, cell in found if cell.state == state]
            parts.append(part(len(names), len(found), state, names))
    checked = [cell.checked_at_ms for _, cell in found if cell.state == "equal" and cell.checked_at_ms is not None]
    if lost := [f"{version} {cell.sink}" for version, cell in found if cell.unaccounted]:
        records = sum(cell.unaccounted or 0 for _, cell in found)
        parts.append(f"{records} {'record is' if records == 1 else 'records are'} not accounted for: {named(lost)}.")
    text = " ".join(parts) if parts else "No version is declared, so nothing is watched."
    return Headline(worst, TITLES[worst], text, counts, min(checked, default=None))


def part(count: int, whole: int, state: StoreState, names: Sequence[str]) -> str:
    """One sentence of the headline: how many stores are so, and which, unless it is all of them or they are equal."""
    every = count == whole
    what = "All stores" if every and whole > 1 else f"{count} of {whole} stores"
    verb = {
        "different": "differs" if count == 1 else "differ",
        "unknown": "is unknown" if count == 1 else "are unknown",
        "behind": "is behind" if count == 1 else "are behind",
        "equal": "is equal to MySQL" if count == 1 else "are equal to MySQL",
    }[state]
    if every or state == "equal":
        return f"{what} {verb}."
    return f"{what} {verb}: {named(names)}."


def named(names: Sequence[str]) -> str:
    """`NAMED` of them at most."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"
