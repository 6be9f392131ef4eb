"""What live traffic does next: one transaction after another, decided without a connection."""
# ruff: noqa: S608 - every name in a statement comes from this package

import random
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tailrace.example.generate import TABLES
from tailrace.example.ledger import LEDGER_ROWS
from tailrace.example.operations import ROLES
from tailrace.example.statement import Statement, insert_text, listed
from tailrace.example.table import Table, Value
from tailrace.example.values import below, pick, seldom

_LEDGER_SHARE = 0.35
_ROLLBACK_SHARE = 0.03

# Nothing refers to a row of these, so rows may come, go and change their key.
_LEAVES = (
    "ai_messages", "user_behaviors", "financial_records", "dao_votes", "dao_points",
    "company_ratings", "company_risks", "company_compliance",
)  # fmt: skip
_LEAVES_READ_BY_MODELS = ("jobs", "ai_analysis_results")
_GROWING_READ_BY_MODELS = ("jobs", "resumes", "ai_conversations", "ai_analysis_results")
_READ_BY_MODELS = tuple(name for name, table in TABLES.items() if table.texts)

# Never changed in place: identity, history, and what repeats another table's identity.
_SETTLED = frozenset({"created_at", "updated_at", "skill_name", "config_key", "permission_code", "service_name"})


def changeable(table: Table) -> tuple[str, ...]:
    """The columns that an ordinary update may set: no key, no reference, nothing that a model reads."""
    return tuple(
        column
        for column in table.columns
        if not (column in table.key or column in table.texts or column in _SETTLED or column.endswith("_id"))
    )


_CHANGEABLE = {name: changeable(table) for name, table in TABLES.items()}
_EMPTIABLE = {
    name: tuple(column for column in _CHANGEABLE[name] if column in table.nullable) for name, table in TABLES.items()
}
_WITH_EMPTIABLE = tuple(name for name, columns in _EMPTIABLE.items() if columns)


class Ids:
    """The ids in use, shared by all workers: who inserts takes the next one above the highest."""

    def __init__(self, highest: Mapping[str, int]) -> None:
        self._lock = threading.Lock()
        self._highest = dict(highest)

    def take(self, table: str) -> int:
        """A new id for a row of that table."""
        with self._lock:
            self._highest[table] += 1
            return self._highest[table]

    def highest(self, table: str) -> int:
        """The highest id taken so far. Not every id below it need exist."""
        return self._highest[table]

    def raise_to(self, highest: Mapping[str, int]) -> None:
        """Skip ids that somebody else has used meanwhile."""
        with self._lock:
            for table, top in highest.items():
                self._highest[table] = max(self._highest[table], top)


@dataclass(frozen=True)
class LedgerTouch:
    """A step on ledger row `id`; its row may move to `other`. What to write depends on the truth read then."""

    id: int
    other: int


@dataclass(frozen=True)
class Transaction:
    """Steps to run together, then to commit, or to roll back on purpose."""

    steps: tuple[Statement | LedgerTouch, ...]
    rollback: bool = False


class Moves:
    """An endless, seeded series of transactions for worker `worker` of `workers`.

    `loaded` is the highest id of each table when traffic began: new rows refer to those only, whatever
    becomes of rows inserted since. About `share_embedded` of all changes create, remove or change what
    a model reads (`Table.texts`); the others leave all of that alone. Many steps aim at random ids and
    some of these are gone: such a statement changes nothing, which is traffic too.
    """

    def __init__(
        self,
        rng: random.Random,
        ids: Ids,
        loaded: Mapping[str, int],
        *,
        share_embedded: float,
        ledger: bool = False,
        worker: int = 0,
        workers: int = 1,
    ) -> None:
        if not 0 <= share_embedded <= 1:
            raise ValueError(f"`share_embedded` must be 0 to 1, not {share_embedded}")
        self._rng = rng
        self._ids = ids
        self._loaded = loaded
        self._share_embedded = share_embedded
        self._ledger = ledger
        # Each worker has ledger rows of its own: two that lock pairs in each other's rows would deadlock.
        self._ledger_ids = range(worker + 1, LEDGER_ROWS + 1, workers)
        self._queued: deque[Transaction] = deque()
        self._ordinary = _weighted(
            (48, self._update), (20, self._insert), (14, self._delete), (4, self._rekey),
            (5, self._change_nothing), (5, self._empty), (1, self._move_owner), (3, self._churn),
        )  # fmt: skip
        self._embedded = _weighted(
            (60, self._edit), (20, self._write), (5, self._sign_up), (10, self._withdraw), (5, self._renumber)
        )

    def next(self) -> Transaction:
        """The next transaction: mostly one step, often 2 to 8, now and then up to 50."""
        if self._queued:
            return self._queued.popleft()
        draw = self._rng.random()
        size = 1 if draw < 0.6 else 2 + below(self._rng, 7) if draw < 0.9 else 9 + below(self._rng, 42)
        if size == 1 and seldom(self._rng, 0.01):
            self._queued.extend(Transaction((step,)) for step in self._churn())
            return self._queued.popleft()
        steps: list[Statement | LedgerTouch] = []
        while len(steps) < size:
            steps += self._step()
        return Transaction(tuple(steps), rollback=seldom(self._rng, _ROLLBACK_SHARE))

    def _step(self) -> tuple[Statement | LedgerTouch, ...]:
        if self._ledger and seldom(self._rng, _LEDGER_SHARE * (1 - self._share_embedded)):
            first, other = self._rng.sample(self._ledger_ids, 2)
            return (LedgerTouch(first, other),)
        # Ledger steps are ordinary changes: what is left is divided so that the share holds over all.
        left = 1 - _LEDGER_SHARE * (1 - self._share_embedded) if self._ledger else 1.0
        moves = self._embedded if seldom(self._rng, self._share_embedded / left) else self._ordinary
        return pick(self._rng, moves)()

    def _update(self) -> tuple[Statement, ...]:
        table = TABLES[pick(self._rng, tuple(TABLES))]
        columns = _CHANGEABLE[table.name]
        return self._set(table, tuple(self._rng.sample(columns, min(len(columns), 1 + below(self._rng, 3)))))

    def _edit(self) -> tuple[Statement, ...]:
        table = TABLES[pick(self._rng, _READ_BY_MODELS)]
        return self._set(table, (pick(self._rng, table.texts),))

    def _set(self, table: Table, columns: tuple[str, ...]) -> tuple[Statement, ...]:
        where, key = self._some_row(table)
        fresh = dict(zip(table.columns, table.row(self._rng, self._ordinal(key), self._loaded), strict=True))
        assignments = ", ".join(f"`{column}` = %s" for column in columns)
        values = (*(fresh[column] for column in columns), *key)
        return (Statement(f"UPDATE `{table.name}` SET {assignments} WHERE {where}", values),)

    def _change_nothing(self) -> tuple[Statement, ...]:
        table = TABLES[pick(self._rng, tuple(TABLES))]
        column = pick(self._rng, _CHANGEABLE[table.name])
        where, key = self._some_row(table)
        return (Statement(f"UPDATE `{table.name}` SET `{column}` = `{column}` WHERE {where}", key),)

    def _empty(self) -> tuple[Statement, ...]:
        table = TABLES[pick(self._rng, _WITH_EMPTIABLE)]
        column = pick(self._rng, _EMPTIABLE[table.name])
        where, key = self._some_row(table)
        return (Statement(f"UPDATE `{table.name}` SET `{column}` = NULL WHERE {where}", key),)

    def _insert(self) -> tuple[Statement, ...]:
        table = TABLES[pick(self._rng, _LEAVES)]
        return (self._insertion(table, self._ids.take(table.name)),)

    def _write(self) -> tuple[Statement, ...]:
        table = TABLES[pick(self._rng, _GROWING_READ_BY_MODELS)]
        return (self._insertion(table, self._ids.take(table.name)),)

    def _sign_up(self) -> tuple[Statement, ...]:
        # The profile's id is its user's: both tables must have that id free.
        self._ids.raise_to({"users": self._ids.highest("user_profiles")})
        user = self._ids.take("users")
        self._ids.raise_to({"user_profiles": user})
        return (self._insertion(TABLES["users"], user), self._insertion(TABLES["user_profiles"], user))

    def _delete(self) -> tuple[Statement, ...]:
        return (self._deletion(pick(self._rng, _LEAVES)),)

    def _withdraw(self) -> tuple[Statement, ...]:
        return (self._deletion(pick(self._rng, _LEAVES_READ_BY_MODELS)),)

    def _rekey(self) -> tuple[Statement, ...]:
        return (self._key_change(pick(self._rng, _LEAVES)),)

    def _renumber(self) -> tuple[Statement, ...]:
        return (self._key_change(pick(self._rng, _LEAVES_READ_BY_MODELS)),)

    def _move_owner(self) -> tuple[Statement, ...]:
        # A resume's skills name its owner too, so they move with it.
        resume = below(self._rng, self._ids.highest("resumes")) + 1
        user = below(self._rng, self._loaded["users"]) + 1
        return (
            Statement("UPDATE `resumes` SET `user_id` = %s WHERE `id` = %s", (user, resume)),
            Statement("UPDATE `resume_skills` SET `user_id` = %s WHERE `resume_id` = %s", (user, resume)),
        )

    def _churn(self) -> tuple[Statement, ...]:
        table = TABLES[pick(self._rng, _LEAVES)]
        row_id = self._ids.take(table.name)
        gone = Statement(f"DELETE FROM `{table.name}` WHERE `id` = %s", (row_id,))
        return (self._insertion(table, row_id), gone, self._insertion(table, row_id))

    def _insertion(self, table: Table, row_id: int) -> Statement:
        values = table.row(self._rng, row_id, self._loaded)
        if table.name != "ai_messages":
            return Statement(insert_text(table.name, table.columns), values)
        # A message's owner is its conversation's, which only MySQL knows for sure.
        fresh = dict(zip(table.columns, values, strict=True))
        sources = ", ".join("c.`user_id`" if column == "user_id" else "%s" for column in table.columns)
        text = (
            f"INSERT INTO `ai_messages` ({listed(table.columns)}) SELECT {sources} "
            "FROM `ai_conversations` AS c WHERE c.`id` = %s"
        )
        conversation = fresh["conversation_id"]
        return Statement(text, (*(v for c, v in fresh.items() if c != "user_id"), conversation))

    def _deletion(self, table: str) -> Statement:
        row_id = below(self._rng, self._ids.highest(table)) + 1
        return Statement(f"DELETE FROM `{table}` WHERE `id` = %s", (row_id,))

    def _key_change(self, table: str) -> Statement:
        old = below(self._rng, self._ids.highest(table)) + 1
        return Statement(f"UPDATE `{table}` SET `id` = %s WHERE `id` = %s", (self._ids.take(table), old))

    def _some_row(self, table: Table) -> tuple[str, tuple[Value, ...]]:
        """A condition that at most one row meets, and its arguments."""
        if table.name == "resume_skills":
            resume = below(self._rng, self._ids.highest("resumes")) + 1
            return "`resume_id` = %s ORDER BY `skill_id` LIMIT 1", (resume,)
        if table.name == "role_permissions":
            permission = below(self._rng, self._ids.highest("permissions")) + 1
            return "`role_name` = %s AND `permission_code` = %s", (pick(self._rng, ROLES), f"perm_{permission}")
        return "`id` = %s", (below(self._rng, self._ids.highest(table.name)) + 1,)

    @staticmethod
    def _ordinal(key: tuple[Value, ...]) -> int:
        """The ordinal to make fresh values with: those that must be unique are made from the row's id."""
        return key[0] if isinstance(key[0], int) and key[0] > 0 else 1


Move = Callable[[], tuple[Statement, ...]]


def _weighted(*moves: tuple[int, Move]) -> tuple[Move, ...]:
    """Each move as often as its weight says, to be picked from evenly."""
    return tuple(move for weight, move in moves for _ in range(weight))
