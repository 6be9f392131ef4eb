"""What a statement in the binlog means for capture. Not a parser: a handful of first words."""

import re
from enum import Enum, auto

from changes.errors import Misconfigured

_COMMENT = re.compile(r"^\s*(/\*.*?\*/\s*)*", re.DOTALL)
_NAME = r"(?:`((?:[^`]|``)+)`|([\w$]+))"
_EMPTYING = re.compile(
    rf"^(TRUNCATE(?:\s+TABLE)?|DROP\s+TABLE(?:\s+IF\s+EXISTS)?|RENAME\s+TABLE|ALTER\s+TABLE)\s+(?:{_NAME}\s*\.\s*)?{_NAME}",
    re.IGNORECASE,
)
_KEEPS_ROWS = re.compile(r"^ALTER\s+TABLE\s(?!.*\b(TRUNCATE|DROP|EXCHANGE)\s+PARTITION\b)", re.IGNORECASE | re.DOTALL)


class Statement(Enum):
    BEGIN = auto()
    END = auto()
    DDL = auto()
    NOTHING = auto()


def classify(text: str, default_database: str, database: str, tables: frozenset[str], *, inside: bool) -> Statement:
    """What ``text`` does to the transaction under way.

    Raises `Misconfigured` for what would silently lose changes of captured tables: rows logged as statements, XA, and
    DDL that empties, drops or swaps such a table.
    """
    body = _COMMENT.sub("", text, count=1)
    word = body.split(None, 1)[0].upper().rstrip(";") if body.strip() else ""
    if word == "BEGIN":
        return Statement.BEGIN
    if word in {"COMMIT", "ROLLBACK"} and " TO " not in body.upper():
        return Statement.END
    if word in {"SAVEPOINT", "ROLLBACK", "RELEASE"}:
        return Statement.NOTHING
    if word == "XA":
        raise Misconfigured("the binlog holds an XA transaction: this release captures none")
    if inside:
        raise Misconfigured(
            f"a transaction was logged as a statement, not as rows (`{body[:80]}`): "
            "SET PERSIST binlog_format = 'ROW', also for the sessions that are connected"
        )
    _refuse_emptying(body, default_database, database, tables)
    return Statement.DDL


def _refuse_emptying(body: str, default_database: str, database: str, tables: frozenset[str]) -> None:
    match = _EMPTYING.match(body)
    if match is None or _KEEPS_ROWS.match(body):
        return
    in_database = match[2] or match[3] or default_database
    table = (match[4] or match[5]).replace("``", "`")
    if in_database == database and table in tables:
        raise Misconfigured(
            f"`{body[:80]}` empties or replaces the captured table `{table}` without row events; this release does not "
            "follow it: `tailrace epoch raise` begins a new epoch with a new snapshot"
        )
