"""Finding the records that a store refuses, so that their neighbours land.

Most stores take a batch whole or not at all, and say of a refused one that something in it was wrong but not what.
Halving finds the culprits in about ``2 · k · log2(n)`` attempts for ``k`` of them among ``n`` records.
"""

from collections.abc import Awaitable, Callable, Sequence

from changes.errors import Rejected
from changes.record import Outcome, Record, rejected

Attempt = Callable[[Sequence[Record]], Awaitable[list[Outcome]]]
"""Stores all of its records and answers one outcome for each, or raises `Rejected` and leaves no trace."""


async def isolate(records: Sequence[Record], attempt: Attempt) -> list[Outcome]:
    """One outcome for each record, in order; only records that are refused on their own are ``rejected``.

    The halves are attempted in order, each by a call of its own: a batch with a refused record is not atomic.
    Whatever else ``attempt`` raises passes through; what landed before it has landed.
    """
    if not records:
        return []
    try:
        return await attempt(records)
    except Rejected as refusal:
        if len(records) == 1:
            return [rejected(refusal)]
    middle = len(records) // 2
    return [*await isolate(records[:middle], attempt), *await isolate(records[middle:], attempt)]
