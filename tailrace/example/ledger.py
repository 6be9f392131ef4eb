"""A ledger that proves a change stream, kept in `tr_ledger` and `tr_ledger_truth` (`ledger.sql`).

Each create or update of a ledger row writes an `n` one above the last that its id ever had; a delete
removes the row at its last `n`, and the id's next life goes on above it. So the values a topic holds
for one key, deletes left out, read 1, 2, 3, … without gap or repeat. The truth is written in the same
transaction and read back before each step, so nothing rests on the writer's memory: whether a commit
that was cut off took place, MySQL knows.

This file is pure; `traffic` runs its statements.
"""

import random
from dataclasses import dataclass, replace

from tailrace.example.statement import Statement
from tailrace.example.values import awkward, below, seldom

LEDGER_ROWS = 1000
"""The ids of the ledger are 1 … LEDGER_ROWS."""

READ_PAIR = (
    "SELECT `id`, `n`, `alive`, `changes` FROM `tr_ledger_truth` WHERE `id` IN (%s, %s) ORDER BY `id` FOR UPDATE"
)
READ_ALL = "SELECT `id`, `n`, `alive`, `changes` FROM `tr_ledger_truth` WHERE `changes` > 0 ORDER BY `id`"

# Every id has its truth from the start: locking a row that exists takes no gap lock.
SEED = "INSERT IGNORE INTO `tr_ledger_truth` (`id`, `n`, `alive`, `changes`) VALUES (%s, %s, %s, %s)"

_CREATE = (
    "INSERT INTO `tr_ledger` (`id`, `n`, `payload`, `user_id`, `touched_at`) VALUES (%s, %s, %s, %s, UTC_TIMESTAMP(6))"
)
_UPDATE = (
    "UPDATE `tr_ledger` SET `n` = `n` + 1, `payload` = %s, `user_id` = %s, `touched_at` = UTC_TIMESTAMP(6) "
    "WHERE `id` = %s"
)
_DELETE = "DELETE FROM `tr_ledger` WHERE `id` = %s"
_REKEY = "UPDATE `tr_ledger` SET `id` = %s, `n` = %s, `touched_at` = UTC_TIMESTAMP(6) WHERE `id` = %s"
_TRUTH = "UPDATE `tr_ledger_truth` SET `n` = %s, `alive` = %s, `changes` = %s WHERE `id` = %s"


@dataclass(frozen=True)
class Entry:
    """The truth about one id.

    `n` is the last ever written (0: never), `alive` whether the row exists. `changes` counts the
    creates, updates and deletes of this key; a key change is a delete of one and a create of another.
    """

    id: int
    n: int = 0
    alive: bool = False
    changes: int = 0


@dataclass(frozen=True)
class Step:
    """What to run, in order, and the entries as they are once it is committed."""

    statements: tuple[Statement, ...]
    after: tuple[Entry, ...]


def touch(entry: Entry, payload: str | None, user: int) -> Step:
    """Update the row, or create it."""
    after = replace(entry, n=entry.n + 1, alive=True, changes=entry.changes + 1)
    change = (
        Statement(_UPDATE, (payload, user, entry.id))
        if entry.alive
        else Statement(_CREATE, (entry.id, after.n, payload, user))
    )
    return Step((change, _truth(after)), (after,))


def delete(entry: Entry) -> Step:
    """Delete the row, which must be alive."""
    after = replace(entry, alive=False, changes=entry.changes + 1)
    return Step((Statement(_DELETE, (entry.id,)), _truth(after)), (after,))


def rekey(source: Entry, target: Entry) -> Step:
    """Give a living row the id of a dead one: a delete of the one key, a create of the other."""
    left = replace(source, alive=False, changes=source.changes + 1)
    taken = replace(target, n=target.n + 1, alive=True, changes=target.changes + 1)
    change = Statement(_REKEY, (target.id, taken.n, source.id))
    return Step((change, _truth(left), _truth(taken)), (left, taken))


def next_step(rng: random.Random, entry: Entry, other: Entry, users: int) -> Step:
    """One random step on `entry`; `other`, a different id, is where its row may move.

    Mostly an update; now and then a delete, a delete and a new life at once, or a change of key.
    """
    payload = None if seldom(rng, 0.05) else awkward(rng, f"touch {entry.n + 1} 次", 200)
    user = below(rng, users) + 1
    draw = rng.random()
    if entry.alive and draw < 0.10:
        return delete(entry)
    if entry.alive and draw < 0.14:
        gone = delete(entry)
        back = touch(gone.after[0], payload, user)
        return Step(gone.statements + back.statements, back.after)
    if entry.alive and draw < 0.18 and not other.alive:
        return rekey(entry, other)
    return touch(entry, payload, user)


def _truth(entry: Entry) -> Statement:
    values = (entry.n, int(entry.alive), entry.changes, entry.id)
    return Statement(_TRUTH, values, bookkeeping=True)
