"""What the capture benchmark reads: three databases, each filled in one shape, and where in the binlog each begins."""

from collections.abc import Callable
from dataclasses import dataclass

from pymysql.cursors import Cursor

from streams.mysql import MysqlUrl, session

PORTION = 500
"""Rows of a bulk transaction."""
LARGE_PORTION = 10
LARGE_BYTES = 64 << 10


@dataclass(frozen=True)
class Load:
    """One shape as it stands in the binlog: ``rows`` changes from ``file`` on, behind the transactions ``executed``."""

    shape: str
    database: str
    table: str
    rows: int
    transactions: int
    executed: str
    file: str


WIDE = """CREATE TABLE wide (
    id BIGINT UNSIGNED PRIMARY KEY, user_id BIGINT NOT NULL, title VARCHAR(200) NOT NULL, body TEXT,
    price DECIMAL(12,2), score DOUBLE, state ENUM('draft','open','closed'), details JSON, created DATETIME(6),
    changed TIMESTAMP(3) NULL)"""
SINGLE = """CREATE TABLE single (
    id BIGINT UNSIGNED PRIMARY KEY AUTO_INCREMENT, user_id BIGINT NOT NULL, title VARCHAR(100), amount DECIMAL(10,2),
    state VARCHAR(20), details JSON, created DATETIME(3), seen INT UNSIGNED NOT NULL DEFAULT 0)"""
LARGE = "CREATE TABLE large (id BIGINT PRIMARY KEY, kind INT, body MEDIUMTEXT, created DATETIME)"

FILL_SINGLE = """CREATE PROCEDURE fill(IN wanted INT) BEGIN
    DECLARE done INT DEFAULT 0;
    WHILE done < wanted DO
        CASE
            WHEN done % 20 < 12 THEN INSERT INTO single (user_id, title, amount, state, details, created) VALUES (
                done % 1000, CONCAT('Event ', done, ' 事件'), done / 100, 'new',
                JSON_OBJECT('source', 'web', 'step', done % 7, 'ok', done % 2 = 0), '2026-01-02 03:04:05.678');
            WHEN done % 20 < 19 THEN
                UPDATE single SET seen = seen + 1, state = 'seen' WHERE id = 1 + (done DIV 20) * 12 + done % 12;
            ELSE DELETE FROM single WHERE id = 1 + (done DIV 20) * 12 + 11;
        END CASE;
        SET done = done + 1;
    END WHILE;
END"""


def fill(admin: MysqlUrl, rows: int, report: Callable[[str], None]) -> list[Load]:
    """Fill all shapes, about ``rows`` changes in the first two and a fiftieth in the last."""
    makers = (
        ("bulk", "wide", _wide, rows),
        ("single", "single", _single, rows),
        ("large", "large", _large, rows // 50),
    )
    loads = []
    with session(admin) as connection, connection.cursor() as cursor:
        for setting in ("sync_binlog = 0", "innodb_flush_log_at_trx_commit = 0"):
            cursor.execute(f"SET GLOBAL {setting}")
        for shape, table, make, wanted in makers:
            report(f"filling `{shape}` with {wanted} rows…")
            database = f"bench_{shape}"
            cursor.execute(f"DROP DATABASE IF EXISTS {database}")
            cursor.execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
            cursor.execute(f"USE {database}")
            prepare, transactions, run = make(wanted)
            for statement in prepare:
                cursor.execute(statement)
            cursor.execute("FLUSH BINARY LOGS")
            file, executed = _standing(cursor)
            run(cursor)
            loads.append(Load(shape, database, table, wanted, transactions, executed, file))
        cursor.execute("FLUSH BINARY LOGS")
    return loads


def _standing(cursor: Cursor) -> tuple[str, str]:
    cursor.execute("SHOW BINARY LOG STATUS")
    row = cursor.fetchone()
    if row is None:
        raise RuntimeError("the server does not say where its binlog ends")
    return str(row[0]), str(row[4]).replace("\n", "")


_Made = tuple[list[str], int, Callable[[Cursor], None]]


def _numbers(count: int) -> list[str]:
    return [
        "CREATE TABLE numbers (n INT PRIMARY KEY)",
        "INSERT INTO numbers VALUES " + ", ".join(f"({n})" for n in range(count)),
    ]


def _wide(rows: int) -> _Made:
    insert = """INSERT INTO wide SELECT %s + n, n %% 977, CONCAT('Position ', n, ' 工程师'),
        CONCAT('A "quoted" text\\n', REPEAT(SHA2(n, 256), 4)), n * 1.25, n / 7, 1 + n %% 3,
        JSON_OBJECT('skills', JSON_ARRAY('sql', 'rust', n %% 11), 'remote', n %% 2 = 0, 'pay', n * 1.5,
                    'company', JSON_OBJECT('id', n, 'name', CONCAT('Company ', n))),
        '2026-01-02 03:04:05.678901', '2026-01-02 03:04:05.678' FROM numbers"""

    def run(cursor: Cursor) -> None:
        for start in range(0, rows, PORTION):
            cursor.execute(insert, (start,))

    return [WIDE, *_numbers(PORTION)], rows // PORTION, run


def _single(rows: int) -> _Made:
    def run(cursor: Cursor) -> None:
        cursor.execute("CALL fill(%s)", (rows,))

    return [SINGLE, FILL_SINGLE], rows, run


def _large(rows: int) -> _Made:
    def run(cursor: Cursor) -> None:
        for start in range(0, rows, LARGE_PORTION):
            cursor.execute(
                "INSERT INTO large SELECT %s + n, n, REPEAT(SHA2(n, 256), %s), NOW() FROM numbers",
                (start, LARGE_BYTES // 64),
            )

    return [LARGE, *_numbers(LARGE_PORTION)], rows // LARGE_PORTION, run
