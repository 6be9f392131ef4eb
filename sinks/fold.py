"""A batch as one record per row, for stores that cannot take two writes of one row in one statement."""

from collections import defaultdict
from collections.abc import Sequence

from changes.record import APPLIED, STALE, Outcome, Record
from sinks.isolate import Attempt


async def fold(batch: Sequence[Record], write: Attempt) -> list[Outcome]:
    """One outcome for each record of ``batch``, of which ``write`` sees only the newest of each row.

    The newest is the one with the greatest generation and position, the later one where two are equal. When it lands,
    those before it in the batch count as ``applied`` (they would have landed and been replaced) and those after it as
    ``stale``; when it is stale, so are they all. When it is rejected the next newest is written in its place: a
    refused change never takes its predecessor with it.
    """
    waiting = _rows(batch)
    if len(waiting) == len(batch):
        return await write(batch)
    outcomes = [STALE] * len(batch)
    while waiting:
        newest = [max(row, key=lambda index: (batch[index].order, index)) for row in waiting]
        answers = await write([batch[index] for index in newest])
        refused = []
        for row, winner, answer in zip(waiting, newest, answers, strict=True):
            outcomes[winner] = answer
            others = [index for index in row if index != winner]
            if answer.kind == "rejected":
                refused.append(others)
            elif answer.kind == "applied":
                for index in others:
                    outcomes[index] = APPLIED if index < winner else STALE
        waiting = [row for row in refused if row]
    return outcomes


def _rows(batch: Sequence[Record]) -> list[list[int]]:
    """The indices of ``batch``, gathered by row, in the order in which the rows first appear."""
    rows = defaultdict[tuple[str, str, bytes], list[int]](list)
    for index, record in enumerate(batch):
        rows[record.target.name, record.place, record.key.canonical].append(index)
    return list(rows.values())
