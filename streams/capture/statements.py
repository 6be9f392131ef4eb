"""What a statement in the binlog means for capture. Not a parser: first words, and the tables that they name."""

import itertools
import re
from collections.abc import Iterator
from enum import Enum, auto

from changes.errors import Misconfigured

_TOKEN = re.compile(
    r"""(?P<nothing>\s+|--(?=\s|\Z)[^\n]*|\#[^\n]*|/\*(?!M?!).*?\*/|/\*M?!\d*|\*/)
      | (?P<name>`(?:[^`]|``)*`|"(?:[^"]|"")*")
      | (?P<text>'(?:[^'\\]|\\.|'')*')
      | (?P<word>[\w$]+|.)""",
    re.VERBOSE | re.DOTALL,
)
_PARTITIONS = {("TRUNCATE", "PARTITION"), ("DROP", "PARTITION"), ("EXCHANGE", "PARTITION"), ("IMPORT", "TABLESPACE")}
_RENAMES_INSIDE = {"COLUMN", "INDEX", "KEY"}
_FILLERS = {"IF", "EXISTS", "ONLINE", "IGNORE"}


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
    if text == "BEGIN":  # the usual case
        return Statement.BEGIN
    tokens = _tokens(text)
    words = [token.upper() for token in tokens]
    word = words[0] if words else ""
    if word == "BEGIN":
        return Statement.BEGIN
    if word in {"COMMIT", "ROLLBACK"} and "TO" not in words:
        return Statement.END
    if word in {"SAVEPOINT", "ROLLBACK", "RELEASE"}:
        return Statement.NOTHING
    if word == "XA":
        raise Misconfigured("the binlog holds an XA transaction: this release captures none")
    if inside:
        if word == "CREATE" and words[-2:] == ["START", "TRANSACTION"]:  # CREATE TABLE … SELECT: its rows follow
            return Statement.NOTHING
        raise Misconfigured(
            f"a transaction was logged as a statement, not as rows (`{text.strip()[:80]}`): "
            "SET PERSIST binlog_format = 'ROW', also for the sessions that are connected"
        )
    for in_database, table in _emptied(tokens, words):
        if (in_database or default_database) == database and (table is None or table in tables):
            what = f"table `{table}`" if table is not None else f"database `{database}`"
            raise Misconfigured(
                f"`{text.strip()[:80]}` empties or replaces the captured {what} without row events; this release does "
                "not follow it: `tailrace epoch raise` begins a new epoch with a new snapshot"
            )
    return Statement.DDL


def _tokens(text: str) -> list[str]:
    """Words, quoted names and signs; comments, texts and spaces are left out."""
    return [match[0] for match in _TOKEN.finditer(text) if match.lastgroup in {"name", "word"}]


def _plain(token: str) -> str:
    return token[1:-1].replace(token[0] * 2, token[0]) if token[0] in {"`", '"'} else token


def _emptied(tokens: list[str], words: list[str]) -> Iterator[tuple[str, str | None]]:
    """(database, table) that the statement empties, drops or puts another in the place of; ``None``: every table."""
    kept = [(token, word) for token, word in zip(tokens, words, strict=True) if word not in _FILLERS]
    tokens, words = [token for token, _ in kept], [word for _, word in kept]
    head = words[:2]
    if words[:1] == ["TRUNCATE"]:
        yield from _names(tokens, 2 if head[1:] == ["TABLE"] else 1)
    elif head in (["DROP", "DATABASE"], ["DROP", "SCHEMA"]):
        yield from ((table or "", None) for _, table in _names(tokens, 2))
    elif head in (["DROP", "TABLE"], ["DROP", "TABLES"], ["RENAME", "TABLE"], ["RENAME", "TABLES"]):
        yield from _names(tokens, 2)
    elif words[:4] == ["CREATE", "OR", "REPLACE", "TABLE"]:
        yield from list(_names(tokens, 4))[:1]
    elif head == ["ALTER", "TABLE"]:
        yield from _altered(tokens, words)


def _altered(tokens: list[str], words: list[str]) -> Iterator[tuple[str, str | None]]:
    own = list(_names(tokens, 2))[:1]
    for index, pair in enumerate(itertools.pairwise(words)):
        if pair in _PARTITIONS:
            yield from own
        if pair == ("WITH", "TABLE"):
            yield from _names(tokens, index + 2)
        if pair[0] == "RENAME" and pair[1] not in _RENAMES_INSIDE:
            yield from own
            yield from list(_names(tokens, index + 1 + (pair[1] in {"TO", "AS", "="})))[:1]


def _names(tokens: list[str], at: int) -> Iterator[tuple[str, str | None]]:
    """``[database.]name`` one after the other, whatever separates them: ``,`` or ``TO``."""
    while at < len(tokens) and tokens[at] not in {";", "("}:
        if tokens[at + 1 : at + 2] == ["."]:
            yield _plain(tokens[at]), _plain(tokens[at + 2]) if at + 2 < len(tokens) else None
            at += 3
        else:
            yield "", _plain(tokens[at])
            at += 1
        if tokens[at : at + 1] == [","] or [token.upper() for token in tokens[at : at + 1]] == ["TO"]:
            at += 1
        else:
            return
