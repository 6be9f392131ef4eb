"""Finding refused records, and folding a batch to one record per row, against plain models."""

from collections.abc import Sequence

from conformance import PLAIN, target_of
from hypothesis import given
from hypothesis import strategies as st

from changes.errors import Rejected
from changes.key import key_of
from changes.record import APPLIED, STALE, Outcome, Record
from sinks.fold import fold
from sinks.isolate import isolate

TARGET = target_of("postgres", "notes")


def record(id_: int, position: int = 1, title: str | None = "") -> Record:
    row = {"id": id_, "user_id": 1, "title": title, "amount": None}
    return Record(TARGET, key_of(PLAIN, row), position, row, 0, PLAIN)


@given(st.integers(0, 60), st.sets(st.integers(0, 59)))
async def test_only_refused_records_are_rejected_and_each_is_stored_once(count: int, refused: set[int]) -> None:
    records, stored, attempts = [record(id_) for id_ in range(count)], [], 0

    async def attempt(part: Sequence[Record]) -> list[Outcome]:
        nonlocal attempts
        attempts += 1
        ids = [one.key.values[0] for one in part]
        if refused & set(ids):
            raise Rejected("no")
        stored.extend(ids)
        return [APPLIED] * len(part)

    outcomes = await isolate(records, attempt)
    assert [outcome.kind for outcome in outcomes] == [
        "rejected" if id_ in refused else "applied" for id_ in range(count)
    ]
    assert stored == [id_ for id_ in range(count) if id_ not in refused]
    assert attempts <= 1 + 2 * len(refused) * max(count, 1).bit_length()


@given(
    st.dictionaries(st.integers(0, 2), st.integers(0, 4)),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), st.booleans()), max_size=10),
)
async def test_a_folded_batch_leaves_what_one_by_one_would(
    before: dict[int, int], changes: list[tuple[int, int, bool]]
) -> None:
    """A store of positions, in which a refused record changes nothing; ``True`` marks a refused one."""
    batch = [
        record(id_, position, f"{index}{'!' if refused else ''}")
        for index, (id_, position, refused) in enumerate(changes)
    ]

    def store(held: dict[int, tuple[int, str | None]], one: Record) -> Outcome:
        id_, title = one.key.values[0], str((one.row or {})["title"])
        assert isinstance(id_, int)
        if title.endswith("!"):
            return Outcome("rejected", "no")
        if id_ in held and held[id_][0] > one.position:
            return STALE
        held[id_] = (one.position, title)
        return APPLIED

    start: dict[int, tuple[int, str | None]] = {id_: (position, None) for id_, position in before.items()}
    singly, folded = dict(start), dict(start)

    async def write(part: Sequence[Record]) -> list[Outcome]:
        assert len({one.key for one in part}) == len(part)
        return [store(folded, one) for one in part]

    outcomes = await fold(batch, write)
    expected = [store(singly, one) for one in batch]
    assert folded == singly
    for (_, _, refused), outcome, plain in zip(changes, outcomes, expected, strict=True):
        # A record that a later one of the batch replaces may stand where one by one it would have been stale or
        # refused on its own; whatever is written is judged alike.
        assert outcome.kind != "rejected" or refused
        assert not (plain.kind == "applied" and outcome.kind == "rejected")


async def test_a_refused_change_does_not_take_its_predecessor_with_it() -> None:
    written: list[list[str]] = []

    async def write(part: Sequence[Record]) -> list[Outcome]:
        titles = [str((one.row or {})["title"]) for one in part]
        written.append(titles)
        return [Outcome("rejected", "no") if title == "bad" else APPLIED for title in titles]

    batch = [record(1, 1, "a"), record(2, 1, "b"), record(1, 2, "good"), record(1, 3, "bad"), record(1, 1, "late")]
    outcomes = await fold(batch, write)
    assert written == [["bad", "b"], ["good"]]
    assert [outcome.kind for outcome in outcomes] == ["applied", "applied", "applied", "rejected", "stale"]
