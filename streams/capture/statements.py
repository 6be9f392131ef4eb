"""What a statement in the binlog means for capture. Not a parser: its words, and the captured tables that they touch.

Rows follow the schema that comes with their events, so most DDL needs no attention. Three things do:

- rows that go or come without row events: TRUNCATE, DROP, RENAME and swaps, OR REPLACE, some partition DDL;
- a table that is there again: CREATE TABLE;
- stored values that change without row events, or are told under other columns: ALTER TABLE.

Of ALTER TABLE the clauses are known that leave rows and columns as they are (indexes, constraints, defaults, comments,
storage); every other clause counts as one that changes them, whether it does or not: reading a table once more than
needed costs time, once less loses data. What the table looks like now is no help, for by the time a statement is read
others may have followed it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from changes.errors import Misconfigured

_TOKEN = re.compile(
    r"""(?P<nothing>\s+|--(?=\s|\Z)[^\n]*|\#[^\n]*|/\*(?!M?!).*?\*/|/\*M?!\d*|\*/)
      | (?P<name>`(?:[^`]|``)*`|"(?:[^"]|"")*")
      | (?P<text>'(?:[^'\\]|\\.|'')*')
      | (?P<word>[\w$\u0080-\uffff]+|.)""",
    re.VERBOSE | re.DOTALL,
)
_UNREAD = "\N{REPLACEMENT CHARACTER}"
"""Stands for what is not UTF-8: a name with it may be that of any table whose name is not ASCII."""

_INDEXES = ("INDEX", "KEY")
_HARMLESS = (
    *(("ADD", word) for word in (*_INDEXES, "UNIQUE", "FULLTEXT", "SPATIAL", "FOREIGN", "CHECK", "PARTITION")),
    *(("DROP", word) for word in (*_INDEXES, "CHECK")),
    *(("RENAME", word) for word in _INDEXES),
    *((word, "KEYS") for word in ("ENABLE", "DISABLE")),
    *((word, "PARTITION") for word in ("REORGANIZE", "COALESCE", "ANALYZE", "CHECK", "OPTIMIZE", "REBUILD")),
    *((word, "VALIDATION") for word in ("WITH", "WITHOUT")),
    ("ADD", "CONSTRAINT"),
    ("PARTITION", "BY"),
    ("REMOVE", "PARTITIONING"),
    ("ORDER", "BY"),
    ("DEFAULT", "CHARACTER"),
    ("DEFAULT", "CHARSET"),
    ("DEFAULT", "COLLATE"),
    ("CHARACTER", "SET"),
    *((word,) for word in ("CHARSET", "COLLATE", "COMMENT", "AUTO_INCREMENT", "ROW_FORMAT", "KEY_BLOCK_SIZE")),
    *((word,) for word in ("ALGORITHM", "LOCK", "FORCE", "ENGINE", "COMPRESSION", "ENCRYPTION", "PAGE_COMPRESSED")),
    *((f"STATS_{word}",) for word in ("PERSISTENT", "AUTO_RECALC", "SAMPLE_PAGES")),
    *((word,) for word in ("MAX_ROWS", "MIN_ROWS", "AVG_ROW_LENGTH", "CHECKSUM", "ALTER", "DISCARD")),
)
"""How the clauses of ALTER TABLE begin that leave rows and columns as they are. ALTER changes a column's default, its
visibility, or an index; DISCARD takes the rows away that IMPORT brings. DROP FOREIGN KEY is not among them: as long as
it was there it may have changed rows in secret."""
_GOING = {("TRUNCATE", "PARTITION"), ("DROP", "PARTITION"), ("EXCHANGE", "PARTITION"), ("CONVERT", "PARTITION")}


class Statement(Enum):
    """What becomes of the transaction under way."""

    BEGIN = auto()
    END = auto()
    DDL = auto()
    NOTHING = auto()
    XA = auto()


class Effect(Enum):
    """What became of a captured table without row events; the value says it for people."""

    REPLACED = "was emptied or replaced"
    CHANGED = "was altered"
    CREATED = "was created"


@dataclass(frozen=True)
class Meaning:
    """``tables`` are the captured tables whose rows changed without row events, or may have.

    ``xid`` names the prepared XA transaction that is ended, ``committed`` where it was not rolled back.
    """

    statement: Statement
    text: str = ""
    tables: Mapping[str, Effect] = field(default_factory=dict)
    xid: str = ""
    committed: bool = False


def classify(text: str, default_database: str, database: str, tables: frozenset[str], *, inside: bool) -> Meaning:
    """What ``text`` does to the transaction under way, and to ``tables`` of ``database``.

    Raises `Misconfigured` for rows that were logged as a statement.
    """
    if text == "BEGIN":  # the usual case
        return Meaning(Statement.BEGIN)
    tokens = [match[0] for match in _TOKEN.finditer(text) if match.lastgroup in {"name", "word"}]
    words = _Words(tokens)
    framing = _framing(words, text)
    if framing is not None:
        return framing
    captured = _Captured(default_database, database, tables)
    found: dict[str, Effect] = {}
    for touched in _touched(words, text):
        for table in captured.among(touched):
            found[table] = _stronger(found.get(table), touched.effect)
    if inside:
        # CREATE TABLE … SELECT, whose rows follow; a temporary table, which is in no row event
        if words.at(0) == "CREATE" or words.all[:2] == ["DROP", "TEMPORARY"]:
            return Meaning(Statement.NOTHING, text, found)
        raise Misconfigured(
            f"a transaction was logged as a statement, not as rows (`{text.strip()[:80]}`): "
            "SET PERSIST binlog_format = 'ROW', also for the sessions that are connected"
        )
    return Meaning(Statement.DDL, text, found)


def _framing(words: "_Words", text: str) -> Meaning | None:
    """What only begins or ends something; ``None`` for every other statement."""
    word = words.at(0)
    if word == "BEGIN":
        return Meaning(Statement.BEGIN)
    if word in {"COMMIT", "ROLLBACK"} and "TO" not in words.all:
        return Meaning(Statement.END)
    if word in {"SAVEPOINT", "ROLLBACK", "RELEASE"}:
        return Meaning(Statement.NOTHING)
    return _xa(words, text) if word == "XA" else None


def _xa(words: "_Words", text: str) -> Meaning:
    """START and END stand around the rows of such a transaction; COMMIT and ROLLBACK decide on one prepared before."""
    verb = words.at(1)
    if verb in {"START", "BEGIN"}:
        return Meaning(Statement.XA)
    if verb == "END":
        return Meaning(Statement.NOTHING)
    return Meaning(Statement.END, text, xid=xid_of("".join(text.split()[2:])), committed=verb == "COMMIT")


def xid_of(text: str) -> str:
    """The name of an XA transaction as the server spells it, ``X'67',X'',1``, in a form to compare."""
    return text.strip(";").lower()


def _stronger(one: Effect | None, other: Effect) -> Effect:
    return min((effect for effect in (one, other) if effect is not None), key=list(Effect).index)


class _Words:
    """A statement's tokens; ``all`` in capitals. A quoted name keeps its quotes, and so is no keyword."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.all = [token.upper() for token in tokens]

    def at(self, index: int) -> str:
        return self.all[index] if index < len(self.all) else ""

    def behind(self, at: int, *optional: str) -> int:
        """The index behind those of the words ``optional`` that stand at ``at``, in their order, all or none."""
        return at + len(optional) if tuple(self.all[at : at + len(optional)]) == optional else at

    def names(self, at: int) -> Iterator[tuple[str, str]]:
        """``[database.]name`` one after the other, whatever separates them: ``,`` or ``TO``; database "" for none."""
        while at < len(self.tokens) and self.tokens[at] not in {";", "("}:
            name, at = self.name(at)
            yield name
            if self.at(at) not in {",", "TO"}:
                return
            at += 1

    def name(self, at: int) -> tuple[tuple[str, str], int]:
        """The first of `names`, and the index behind it and behind MariaDB's WAIT n or NOWAIT."""
        parts = self.tokens[at : at + 3]
        if parts[1:2] == ["."]:
            database, at = _plain(parts[0]), at + 2
        else:
            database = ""
        table = _plain(self.tokens[at]) if at < len(self.tokens) else ""
        at += 1
        waited = at + 2 if self.at(at) == "WAIT" and self.at(at + 1).isdigit() else self.behind(at, "NOWAIT")
        return (database, table), waited

    def clauses(self, at: int) -> Iterator[list[str]]:
        """What stands between commas outside of brackets, from ``at`` on."""
        clause: list[str] = []
        depth = 0
        for word in self.all[at:]:
            depth += (word == "(") - (word == ")")
            if word == "," and not depth:
                yield clause
                clause = []
            elif word != ";":
                clause.append(word)
        if clause:
            yield clause


def _plain(token: str) -> str:
    return token[1:-1].replace(token[0] * 2, token[0]) if token[0] in {"`", '"'} else token


@dataclass(frozen=True)
class _Touched:
    """A table, as it is written; its database "" is the session's. ``None`` stands for any."""

    effect: Effect
    database: str | None
    table: str | None


@dataclass(frozen=True)
class _Captured:
    """Which captured tables a statement names. Capitals count for nothing: on some servers they are the same table,
    and on the others it is read once more than needed."""

    default: str
    database: str
    tables: frozenset[str]

    def among(self, touched: _Touched) -> list[str]:
        if touched.database is not None and not _same(touched.database or self.default, self.database):
            return []
        return [table for table in sorted(self.tables) if touched.table is None or _same(touched.table, table)]


def _same(written: str, name: str) -> bool:
    return written.casefold() == name.casefold() or (_UNREAD in written and not name.isascii())


def _touched(words: _Words, text: str) -> Iterator[_Touched]:
    at = words.all.index("FOR") + 1 if words.all[:2] == ["SET", "STATEMENT"] and "FOR" in words.all else 0
    verb, rest = words.at(at), at + 1
    if verb == "TRUNCATE":
        yield from _each(Effect.REPLACED, words, words.behind(rest, "TABLE"))
    elif verb in {"DROP", "RENAME"} and words.at(rest) in {"TABLE", "TABLES"}:
        yield from _each(Effect.REPLACED, words, words.behind(rest + 1, "IF", "EXISTS"))
    elif verb == "DROP" and words.at(rest) in {"DATABASE", "SCHEMA"}:
        (_, database), _ = words.name(words.behind(rest + 1, "IF", "EXISTS"))
        yield _Touched(Effect.REPLACED, database, None)
    elif verb == "CREATE":
        behind = words.behind(rest, "OR", "REPLACE")
        if words.at(behind) == "TABLE":
            name, _ = words.name(words.behind(behind + 1, "IF", "NOT", "EXISTS"))
            yield _Touched(Effect.CREATED if behind == rest else Effect.REPLACED, *name)
    elif verb == "ALTER":
        yield from _altered(words, rest, text)
    elif verb == "REPAIR" and "TABLE" in words.all[rest : rest + 2]:
        yield from _each(Effect.CHANGED, words, words.all.index("TABLE", rest) + 1)
    elif verb == "IMPORT" and words.at(rest) == "TABLE":
        yield _Touched(Effect.CREATED, None, None)


def _each(effect: Effect, words: _Words, at: int) -> Iterator[_Touched]:
    return (_Touched(effect, *name) for name in words.names(at))


def _altered(words: _Words, at: int, text: str) -> Iterator[_Touched]:
    """ALTER [ONLINE] [IGNORE] TABLE [IF EXISTS] name clause, …"""
    at = words.behind(at, "ONLINE")
    behind = words.behind(at, "IGNORE")
    ignoring = behind > at  # MariaDB then drops the rows that a new unique key has no room for
    if words.at(behind) != "TABLE":
        return
    own, at = words.name(words.behind(behind + 1, "IF", "EXISTS"))
    for clause in words.clauses(at):
        effect = _effect(clause) or (Effect.CHANGED if ignoring else None)
        if effect is not None:
            yield _Touched(effect, *own)
    for index, word in enumerate(words.all[at:], at):
        if (words.at(index - 1), word) in {("WITH", "TABLE"), ("CONVERT", "TABLE"), ("TO", "TABLE")}:
            (database, table), _ = words.name(index + 1)
            yield _Touched(Effect.REPLACED, database or None, table)
        elif word == "RENAME" and words.at(index + 1) not in {"COLUMN", *_INDEXES}:
            (database, table), _ = words.name(index + 1 + (words.at(index + 1) in {"TO", "AS", "="}))
            yield _Touched(Effect.REPLACED, database or None, table)
    if "\\" in text:  # whether a text ends behind it depends on the session's mode: any of these may be a name
        for word in re.findall(r"[^\s`\"'.,();=]+", text):
            yield _Touched(Effect.CHANGED, None, word)


def _effect(clause: list[str]) -> Effect | None:
    """What one clause of ALTER TABLE does to its own table; ``None`` where it leaves rows and columns alone."""
    start = tuple(clause[:2])
    if start in _GOING or start == ("CONVERT", "TABLE") or clause[:1] == ["IMPORT"]:
        return Effect.REPLACED
    if start[:1] == ("RENAME",) and start[1:] not in {("COLUMN",), *((word,) for word in _INDEXES)}:
        return Effect.REPLACED
    harmless = start in _HARMLESS or start[:1] in _HARMLESS
    if not harmless or "PRIMARY" in clause or "`PRIMARY`" in clause or "UNION" in clause:
        return Effect.CHANGED
    if "ENGINE" in clause:  # another engine may keep other values, or no rows at all
        engine = [word for word in clause[clause.index("ENGINE") + 1 :] if word != "="][:1]
        return None if engine == ["INNODB"] else Effect.CHANGED
    return None
