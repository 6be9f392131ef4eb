"""Chunks of MySQL and MariaDB: every kind of key in the server's own order, and DDL while one is read."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from changes.canonical import Value
from changes.gtid import MariadbGtids, MysqlGtids
from changes.topology import Topology, load
from streams.capture.emit import TablePlan
from streams.capture.reader import MODE
from streams.capture.select import TEXT_PROTOCOL
from streams.capture.snapshot import Altered, Chunk, ChunkRequest, Refused, Source, read_chunk
from streams.capture.tables import Tables
from streams.mysql import Connection, MysqlUrl, session

DATABASE = "chunks_of"


@pytest.fixture(scope="module")
def root(either: MysqlUrl) -> Iterator[MysqlUrl]:
    with session(either) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
    yield either
    with session(either) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {DATABASE}")


@pytest.fixture
def connection(root: MysqlUrl) -> Iterator[Connection]:
    with session(root, conv=TEXT_PROTOCOL) as one:
        with one.cursor() as cursor:
            cursor.execute(MODE)
        yield one


def topology(key: str = "k") -> Topology:
    return load(
        f"versions:\n  v: {{database: {DATABASE}, env: V_}}\n"
        f"tables:\n  - table: t\n    key: [{key}]\n    sinks: [{{sink: redis, tier: realtime, place: 'x:{{k}}'}}]\n",
        "test",
        {"redis": lambda target: None},
    )


def source(key: str = "k") -> Source:
    return Source(Tables(topology(key), "v", lambda _: None), lambda _: {})


def execute(connection: Connection, *statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def mariadb(connection: Connection) -> bool:
    return "MariaDB" in connection.get_server_info()


def made(connection: Connection, columns: str) -> None:
    """The table ``t``; MariaDB has the newer collations under other names."""
    if mariadb(connection):
        columns = columns.replace("utf8mb4_0900_", "utf8mb4_uca1400_")
    execute(connection, f"CREATE TABLE {DATABASE}.t ({columns})")


def read(
    connection: Connection, chunks: Source, after: tuple[Value, ...] | None = None, **more: Any
) -> Chunk | Altered | Refused:
    seen = MariadbGtids("") if mariadb(connection) else MysqlGtids("")
    return read_chunk(connection, chunks, ChunkRequest("t", seen, 0, after, **more))


def read_whole(connection: Connection, key: str = "k", limit: int = 3) -> list[bytes]:
    """The Kafka keys of all rows, chunk after chunk."""
    chunks, after, keys = source(key), None, list[bytes]()
    while True:
        chunk = read(connection, chunks, after, limit=limit)
        assert isinstance(chunk, Chunk)
        keys += [message.key for message in chunk.messages]
        if chunk.last is None:
            return keys
        after = chunk.last


WORDS = (
    "a",
    "b",
    "a b",
    "a!",
    "aa",
    "ab",
    "Ab b",
    "z",
    "ä",
    "ß",
    "ss t",
    "é",
    "中",
    "文",
    "國",
    "￥",
    "1",
    "",
    "~",
    "_",
)
NUMBERS = (-(2**63), -1, 0, 1, 2, 3, 9, 10, 100, 2**31, 2**63 - 1)
KINDS: dict[str, Sequence[str]] = {
    "VARCHAR(20) COLLATE utf8mb4_0900_ai_ci": [f"'{word}'" for word in (*WORDS, "a  ", "b ", "\t")],
    "VARCHAR(20) COLLATE utf8mb4_0900_as_cs": [f"'{word}'" for word in (*WORDS, "A", "B", "É", "a  ")],
    "VARCHAR(20) COLLATE utf8mb4_bin": [f"'{word}'" for word in (*WORDS, "A", "É", "😀", "\t")],
    "VARCHAR(20) COLLATE utf8mb4_general_ci": [f"'{word}'" for word in WORDS if word != "ß"],
    "VARCHAR(20) CHARACTER SET latin1": [f"'{word}'" for word in ("a", "b", "ä!", "é", "ß", "ÿ", "€", "", "a b", "z~")],
    "VARCHAR(20) CHARACTER SET gbk": [
        f"'{word}'" for word in ("a", "b", "中", "文", "國", "￥", "中文", "丂", "", "〇")
    ],
    "CHAR(4) COLLATE utf8mb4_0900_ai_ci": [f"'{word}'" for word in ("a", "b", "a b", "", "é", "z  ", "中")],
    "VARBINARY(8)": ["x''", "x'00'", "x'0000'", "x'61'", "x'6100'", "x'6120'", "x'FF'", "x'FF00'", "x'27'", "x'5C'"],
    "BINARY(3)": ["x'00'", "x'61'", "x'6162'", "x'61620A'", "x'FF'", "x'FFFFFF'", "x'20'"],
    "BIGINT": [str(number) for number in NUMBERS],
    "BIGINT UNSIGNED": ["0", "1", "2", str(2**63 - 1), str(2**63), str(2**63 + 1), str(2**64 - 1)],
    "TINYINT": ["-128", "-1", "0", "1", "127"],
    "DECIMAL(38,2)": ["-12345678901234567890.01", "-0.01", "0", "0.01"]
    + [f"12345678901234567890.{number:02}" for number in range(9)],
    "DATE": ["'0000-00-00'", "'0001-01-01'", "'1969-12-31'", "'2026-02-28'", "'9999-12-31'"],
    "DATETIME(3)": [
        "'0000-00-00'",
        *(f"'2026-01-02 03:04:05.00{number}'" for number in range(7)),
        "'9999-12-31 23:59:59'",
    ],
    "DATETIME": [f"'2026-01-02 03:04:0{number}'" for number in range(7)],
    "TIMESTAMP(6)": ["'0000-00-00'", *(f"'2026-01-02 03:04:05.00000{number}'" for number in range(7))],
    "TIME(1)": ["'-838:59:59'", "'-00:00:00.1'", "'0'", "'00:00:00.1'", "'23:59:59.9'", "'838:59:59'"],
    "YEAR": ["0", "1901", "1970", "2026", "2155"],
    "ENUM('zulu','alpha','it''s','beta','a,b')": ["1", "2", "3", "4", "5"],
    "SET('z','a','m')": [str(number) for number in range(8)],
    "BIT(12)": [f"b'{number:b}'" for number in (0, 1, 2, 255, 256, 257, 4095)],
    "DOUBLE": ["-1e300", "-0.1", "0", "0.1", "0.30000000000000004", "0.3", "1e22", "1.7976931348623157e308"],
    "FLOAT": ["-1.1", "0", "0.1", "1.1", "16777216", "3.4e38"],
}


@pytest.mark.parametrize("type_", KINDS)
@pytest.mark.parametrize("limit", [1, 3])
def test_every_row_is_read_once_in_the_servers_order(connection: Connection, type_: str, limit: int) -> None:
    values = KINDS[type_]
    made(connection, f"k {type_} NOT NULL PRIMARY KEY, v INT")
    try:
        execute(connection, f"INSERT IGNORE INTO {DATABASE}.t (k) VALUES {', '.join(f'({value})' for value in values)}")
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {DATABASE}.t")
            (count,) = cursor.fetchone() or ("",)
        whole = read(connection, source(), limit=1000)
        assert isinstance(whole, Chunk)
        keys = read_whole(connection, limit=limit)
        assert keys == [message.key for message in whole.messages]
        assert len(keys) == len(set(keys)) == int(count)
    finally:
        execute(connection, f"DROP TABLE {DATABASE}.t")


@pytest.mark.parametrize(
    "columns",
    [
        "a INT, b VARCHAR(9) COLLATE utf8mb4_0900_ai_ci, c DATE",
        "a VARCHAR(9) COLLATE utf8mb4_0900_ai_ci, b VARBINARY(4), c DECIMAL(20,2)",
        "a ENUM('z','a'), b BIGINT UNSIGNED, c CHAR(3)",
    ],
)
def test_keys_of_several_columns_are_read_once_in_the_servers_order(connection: Connection, columns: str) -> None:
    samples = {
        "INT": ["-1", "0", "7"],
        "VARCHAR(9)": ["'a'", "'Á b'", "'b'"],
        "DATE": ["'0000-00-00'", "'2026-01-02'", "'2026-01-03'"],
        "VARBINARY(4)": ["x'00'", "x'6162'", "x'FF'"],
        "DECIMAL(20,2)": ["-1.5", "0", "123456789012345678.25"],
        "ENUM('z','a')": ["'z'", "'a'"],
        "BIGINT": ["0", "9223372036854775808", "18446744073709551615"],
        "CHAR(3)": ["''", "'a'", "'b'"],
    }
    kinds = [next(values for word, values in samples.items() if f" {word}" in part) for part in columns.split(", ")]
    rows = [f"({a}, {b}, {c})" for a in kinds[0] for b in kinds[1] for c in kinds[2]]
    made(connection, f"{columns}, k INT, PRIMARY KEY (a, b, c)")
    try:
        execute(connection, f"INSERT INTO {DATABASE}.t (a, b, c) VALUES {', '.join(rows)}")
        keys = read_whole(connection, "a, b, c", limit=4)
        assert keys == read_whole(connection, "a, b, c", limit=1000)
        assert len(set(keys)) == len(rows)
    finally:
        execute(connection, f"DROP TABLE {DATABASE}.t")


@pytest.fixture
def table(connection: Connection) -> Iterator[Connection]:
    execute(
        connection,
        f"CREATE TABLE {DATABASE}.t (k INT PRIMARY KEY, v INT, w VARCHAR(9))",
        f"INSERT INTO {DATABASE}.t VALUES (1, 10, 'a'), (2, 20, 'b%'), (3, 30, 'c')",
    )
    yield connection
    execute(connection, f"DROP TABLE IF EXISTS {DATABASE}.t")


class Altering:
    """Rows by key, before whose reading something is done to the table."""

    def __init__(self, root: MysqlUrl, statement: str) -> None:
        self.root, self.statement = root, statement

    def keys(self, _: TablePlan) -> list[tuple[Value, ...]]:
        if self.statement:
            with session(self.root) as other:
                execute(other, self.statement)
            self.statement = ""
        return [(1,), (3,), (9,)]


@pytest.mark.parametrize(
    ("statement", "columns"),
    [
        ("ALTER TABLE chunks_of.t ADD COLUMN x INT DEFAULT 5", ["k", "v", "w", "x"]),
        ("ALTER TABLE chunks_of.t DROP COLUMN v", ["k", "w"]),
        ("ALTER TABLE chunks_of.t MODIFY v BIGINT", ["k", "v", "w"]),
        ("ALTER TABLE chunks_of.t MODIFY w VARCHAR(9) AFTER k", ["k", "w", "v"]),
        ("ALTER TABLE chunks_of.t RENAME COLUMN v TO u", ["k", "u", "w"]),
    ],
)
def test_a_chunk_in_whose_window_the_table_is_altered_is_read_again_in_its_new_shape(
    table: Connection, root: MysqlUrl, statement: str, columns: list[str]
) -> None:
    chunks, wanted = source(), Altering(root, statement)
    assert read(table, chunks, wanted=wanted) == Altered()
    chunk = read(table, chunks, wanted=wanted)
    assert isinstance(chunk, Chunk)
    assert chunk.plan is not None
    assert [column.name for column in chunk.plan.schema.columns] == columns
    assert sorted(chunk.rows) == [b'{"k":1}', b'{"k":3}']


def test_a_table_that_is_dropped_meanwhile_is_read_as_empty(table: Connection, root: MysqlUrl) -> None:
    chunks, wanted = source(), Altering(root, f"DROP TABLE {DATABASE}.t")
    assert read(table, chunks, wanted=wanted) == Altered()
    chunk = read(table, chunks, wanted=wanted)
    assert isinstance(chunk, Chunk)
    assert (chunk.rows, chunk.last) == ({}, None)


def test_rows_that_come_and_go_are_no_alteration(table: Connection, root: MysqlUrl) -> None:
    wanted = Altering(root, f"INSERT INTO {DATABASE}.t VALUES (9, 1, 'x')")
    chunk = read(table, source(), wanted=wanted)
    assert isinstance(chunk, Chunk)
    assert len(chunk.rows) == 3


def keys_of(chunk: object) -> list[bytes]:
    assert isinstance(chunk, Chunk)
    return [message.key for message in chunk.messages]


def test_a_predicate_is_read_in_chunks_too(table: Connection) -> None:
    def that(where: str, after: tuple[Value, ...] | None = None) -> object:
        return read(table, source(), after, limit=1, where=where)

    assert keys_of(that("v > 10 OR w = 'a'")) == [b'{"k":1}']
    assert keys_of(that("v > 10 OR w = 'a'", (1,))) == [b'{"k":2}']
    assert keys_of(that("w LIKE 'b%' -- all that begin so")) == [b'{"k":2}']
    assert keys_of(that("v > 30")) == []
    assert isinstance(that("no_such_column = 1"), Refused)
    assert isinstance(that("v >"), Refused)


def test_a_chunk_ends_where_it_is_full_of_bytes(table: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.capture.snapshot.CHUNK_BYTES", 5)
    chunk = read(table, source(), limit=3)
    assert isinstance(chunk, Chunk)
    assert (chunk.read, chunk.last) == (2, (2,))


def test_the_first_chunk_guesses_how_many_rows_there_are(table: Connection) -> None:
    chunk = read(table, source())
    assert isinstance(chunk, Chunk)
    assert chunk.estimate == 3
    assert chunk.mark is None
