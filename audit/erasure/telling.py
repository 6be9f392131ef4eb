"""What a receipt says beside what was found: what is left and until when, and what lies outside. Pure."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from audit.erasure.retention import Keeping
from audit.erasure.source import Owned
from audit.receipt import Followed, Remains, Table
from changes.target import Target

KEYS = "the keys of deleted rows,"


def at(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def tables(what: Sequence[Owned], done: Mapping[str, int], there: Mapping[str, int]) -> list[Table]:
    """``done`` counts rows that were deleted or cleared, ``there`` those that are there now; tables without are left
    out."""
    told = []
    for step in (one.step for one in what):
        word: Literal["deleted", "cleared", "kept"] = (
            "kept" if step.rows == "keep" else "cleared" if step.rows == "clear" else "deleted"
        )
        if rows := (there if step.rows == "keep" else done).get(step.table):
            told.append(Table(step.table, rows, word))
    return told


def came_back(what: Sequence[Owned], there: Mapping[str, int]) -> dict[str, int]:
    """Rows that were to go and are there, by table."""
    return {one.step.table: rows for one in what if one.step.rows != "keep" and (rows := there.get(one.step.table))}


def due(now: datetime, keeping: Collection[Keeping]) -> str:
    """When no topic holds what was superseded any more; empty where one may hold it for ever."""
    longest = [one.superseded for one in keeping]
    if any(one is None for one in longest):
        return ""
    return at(now + timedelta(milliseconds=max((one or 0 for one in longest), default=0)))


def remains(
    now: datetime, targets: Sequence[Target], keeping: Collection[Keeping], kept: Sequence[Table], files: int
) -> list[Remains]:
    """What is left knowingly, and until when."""
    longest = max((max(target.tombstones_for, target.keep_for or 0) for target in targets), default=0)
    last, deleted = due(now, keeping), max((one.deleted or 0 for one in keeping), default=0)
    gone = "" if not last else at(datetime.fromisoformat(last) + timedelta(milliseconds=deleted))
    found = [
        Remains(f"{KEYS} in tombstones of stores", at(now + timedelta(seconds=longest))),
        Remains(f"{KEYS} in tombstones of topics", gone),
        Remains(f"{KEYS} in what is remembered of results and of audits"),
        Remains("what is looked for in the second stage, as keyed hashes, in this receipt"),
        Remains("results remembered of values that rows had before their topics begin, under a hash of those values"),
    ]
    if files:
        found.append(Remains("the person's SQLite file: empty tables, and keys of deleted rows"))
    return found + [Remains(f"{one.rows} rows of `{one.table}`, as declared") for one in kept if one.done == "kept"]


def outside(now: datetime, log_seconds: float | None, endpoints: Sequence[str]) -> list[Remains]:
    """What no look of ours reaches."""
    log = "" if log_seconds is None else at(now + timedelta(seconds=log_seconds))
    found = [
        Remains("MySQL's binlog, and those of its replicas", log),
        Remains("backups, of MySQL and of every store"),
        Remains("bytes of deleted rows that servers have not written over yet: free pages, segments and their logs"),
        Remains("log lines of processes, saved reports, and whatever else was copied by hand"),
    ]
    return found + [Remains(f"what the endpoint `{name}` keeps of calls") for name in endpoints]


def followed(cached: int, files: int, letters: int, again: int) -> list[Followed]:
    told = [
        Followed("results remembered by enrichment", cached),
        Followed("SQLite files written anew", files),
        Followed("dead letters", letters),
        Followed("rows told again, so that topics keep no older ones", again),
    ]
    return [one for one in told if one.number]
