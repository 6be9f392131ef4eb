"""Records that nobody accounts for, as incidents beside those of rows: pure.

Lanes say what became of every record, and topics say which records there are (`streams.deliver.conservation`). What is
left over in one table of one sink is one incident: it opens with the count that finds a remainder and closes with the
first that finds none. No audit of rows closes it: that rows are equal by now does not say where a record went.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from audit.entry import Accounts, Remainder
from audit.incidents import UNACCOUNTED, Incident, Scope, Step

KEEP_MS = 3_600_000
"""Counts that say the same are kept once in so long."""


def unaccounted(remainders: Iterable[Remainder]) -> Counter[Scope]:
    """Records that are lost or counted twice; tables of sinks where there are none are left out."""
    found: Counter[Scope] = Counter()
    for one in remainders:
        if one.remainder:
            found[one.sink, one.table] += abs(one.remainder)
    return found


def by_sink(remainders: Iterable[Remainder]) -> Counter[str]:
    """`unaccounted` of all tables."""
    found: Counter[str] = Counter()
    for (sink, _), records in unaccounted(remainders).items():
        found[sink] += records
    return found


def behind(open_: Sequence[Incident], accounts: Accounts) -> Step:
    """The incidents behind a count. Those of rows stay as they are."""
    found = unaccounted(accounts.targets)
    left: list[Incident] = []
    opened: list[Incident] = []
    closed: list[Incident] = []
    for one in open_:
        if one.class_ != UNACCOUNTED:
            left.append(one)
        elif records := found.pop((one.sink, one.table), 0):
            again = msgspec.structs.replace(
                one, last_ms=accounts.at_ms, last_by=accounts.id, rows=records, audits=one.audits + 1
            )
            left.append(again)
        else:
            closed.append(msgspec.structs.replace(one, closed_ms=accounts.at_ms, closed_by=accounts.id))
    for (sink, table), records in found.items():
        opened.append(
            Incident(
                id=f"{accounts.id}.{sink}.{table}.{UNACCOUNTED}",
                sink=sink,
                table=table,
                class_=UNACCOUNTED,
                opened_ms=accounts.at_ms,
                last_ms=accounts.at_ms,
                closed_ms=None,
                opened_by=accounts.id,
                last_by=accounts.id,
                closed_by=None,
                depth="accounts",
                rows=records,
                whole=True,
                audits=1,
                spots=[],
            )
        )
    return Step([*left, *opened], opened, closed)


def worth_keeping(before: Accounts | None, now: Accounts) -> bool:
    """Whether a count says something that the one kept last does not, or that one is old."""
    if before is None or now.at_ms - before.at_ms >= KEEP_MS:
        return True
    return unaccounted(before.targets) != unaccounted(now.targets)
