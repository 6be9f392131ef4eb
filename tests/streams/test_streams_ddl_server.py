"""DDL, XA and foreign keys as a real server logs them, read by both readers."""

from typing import Protocol

import pytest
from streams_logged import Logged, database_of, logged, told
from streams_readers import NATIVE

from changes.errors import Misconfigured
from streams.capture.statements import Effect
from streams.mysql import MysqlUrl

pytestmark = NATIVE

DATABASE = "ddl_readers"
REPLACED, CHANGED, CREATED = Effect.REPLACED, Effect.CHANGED, Effect.CREATED


class Running(Protocol):
    """The stack that the session shares."""

    admin: dict[str, dict[str, str]]


@pytest.fixture
def root(stack: Running) -> MysqlUrl:
    return MysqlUrl.parse(stack.admin["future"]["mysql"])


def of(root: MysqlUrl, setup: list[str], work: list[str]) -> Logged:
    with database_of(root, DATABASE, setup) as cursor:
        return logged(root, DATABASE, cursor, work)


PARTED = "CREATE TABLE t (id INT PRIMARY KEY, v INT) PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (10), {})"
REST = "PARTITION b VALUES LESS THAN MAXVALUE"


def test_every_statement_that_empties_or_swaps_a_table_is_told_in_its_place(root: MysqlUrl) -> None:
    work = [
        "INSERT INTO t VALUES (1, 1), (11, 1)",
        "TRUNCATE TABLE t",
        "INSERT INTO t VALUES (2, 2)",
        "ALTER TABLE t TRUNCATE PARTITION a",
        "ALTER TABLE t DROP PARTITION a",
        "CREATE TABLE other (id INT PRIMARY KEY, v INT)",
        "ALTER TABLE t EXCHANGE PARTITION b WITH TABLE other",
        "CREATE TABLE _t_gho LIKE t",
        "RENAME TABLE t TO _t_del, _t_gho TO t",
        "DROP TABLE _t_del",
        "ALTER TABLE t RENAME TO away",
        "ALTER TABLE away RENAME t",
        "DROP TABLE t",
        "CREATE TABLE t (id INT PRIMARY KEY, v INT)",
        "INSERT INTO t VALUES (3, 3)",
    ]
    outcome = of(root, [PARTED.format(REST)], work).outcome("t")
    assert outcome.error is None
    assert [row["id"] for _, _, row in told(outcome)] == [1, 11, 2, 3]
    effects = [dict(one.tables) for one in outcome.altered]
    nothing: dict[str, Effect] = {}
    assert effects == [
        *([{"t": REPLACED}] * 3),
        nothing,
        {"t": REPLACED},
        nothing,
        {"t": REPLACED},
        nothing,
        *([{"t": REPLACED}] * 3),
        {"t": CREATED},
    ]


def test_a_table_made_from_a_select_brings_its_rows_and_its_being_there(root: MysqlUrl) -> None:
    made = of(root, [], ["CREATE TABLE t (id INT PRIMARY KEY) SELECT 1 AS id UNION SELECT 2"]).outcome("t")
    assert made.error is None
    assert [row["id"] for _, _, row in told(made)] == [1, 2]
    assert [dict(one.tables) for one in made.altered] == [{"t": CREATED}]


def test_rows_are_read_by_the_layout_of_their_own_time(root: MysqlUrl) -> None:
    """All of it is logged before the first event is read."""
    work = [
        "INSERT INTO t VALUES (1, 'a', 10)",
        "ALTER TABLE t ADD COLUMN extra INT NOT NULL DEFAULT 7",
        "INSERT INTO t (id, title, amount) VALUES (2, 'b', 20)",
        "ALTER TABLE t DROP COLUMN amount",
        "INSERT INTO t (id, title) VALUES (3, 'c')",
        "ALTER TABLE t RENAME COLUMN title TO heading",
        "INSERT INTO t (id, heading) VALUES (4, 'd')",
        "ALTER TABLE t MODIFY extra VARCHAR(10) FIRST",
        "INSERT INTO t (id, heading, extra) VALUES (5, 'e', 'text')",
        "ALTER TABLE t ADD INDEX (heading), COMMENT 'nothing'",
        "DROP TABLE t",
    ]
    outcome = of(root, ["CREATE TABLE t (id INT PRIMARY KEY, title VARCHAR(20), amount INT)"], work).outcome("t")
    assert outcome.error is None
    assert [row for _, _, row in told(outcome)] == [
        {"id": 1, "title": "a", "amount": 10},
        {"id": 2, "title": "b", "amount": 20, "extra": 7},
        {"id": 3, "title": "c", "extra": 7},
        {"id": 4, "heading": "d", "extra": 7},
        {"extra": "text", "id": 5, "heading": "e"},
    ]
    assert [dict(one.tables) for one in outcome.altered] == [*([{"t": CHANGED}] * 4), {}, {"t": REPLACED}]


TABLES = ["CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE other (id INT PRIMARY KEY)"]


@pytest.mark.parametrize("compressed", ["OFF", "ON"])
def test_an_xa_transaction_in_one_phase_is_an_ordinary_one(root: MysqlUrl, compressed: str) -> None:
    work = [
        f"SET SESSION binlog_transaction_compression = {compressed}",
        "INSERT INTO t VALUES (1)",
        "XA START 'one', 'branch', 7",
        "INSERT INTO t VALUES (2), (3)",
        "DELETE FROM t WHERE id = 2",
        "XA END 'one', 'branch', 7",
        "XA COMMIT 'one', 'branch', 7 ONE PHASE",
        "INSERT INTO t VALUES (4)",
    ]
    outcome = of(root, TABLES, work).outcome("t")
    assert outcome.error is None
    assert [(op, row["id"]) for op, _, row in told(outcome)] == [("c", 1), ("c", 2), ("c", 3), ("d", 2), ("c", 4)]
    assert outcome.altered == []
    assert sum(last - first + 1 for _, first, last in outcome.finished) == 3


def two_phases(table: str, *, ending: str = "XA COMMIT 'two'") -> list[str]:
    return ["XA START 'two'", f"INSERT INTO {table} VALUES (1)", "XA END 'two'", "XA PREPARE 'two'", ending]


def test_an_xa_transaction_in_two_phases_is_refused_of_captured_tables(root: MysqlUrl) -> None:
    outcome = of(root, TABLES, ["INSERT INTO t VALUES (9)", *two_phases("t")]).outcome("t")
    assert outcome.error is not None
    assert outcome.error[0] is Misconfigured
    assert "prepares changes of captured tables (XA PREPARE)" in outcome.error[1]
    assert [row["id"] for _, _, row in told(outcome)] == [9]


@pytest.mark.parametrize("ending", ["XA COMMIT 'two'", "XA ROLLBACK 'two'"])
def test_an_xa_transaction_of_other_tables_passes(root: MysqlUrl, ending: str) -> None:
    work = [*two_phases("other", ending=ending), "INSERT INTO t VALUES (9)"]
    outcome = of(root, TABLES, work).outcome("t")
    assert outcome.error is None
    assert [row["id"] for _, _, row in told(outcome)] == [9]
    assert outcome.altered == []
    assert sum(last - first + 1 for _, first, last in outcome.finished) == 3


def test_a_commit_of_what_was_prepared_before_has_every_table_read_again(root: MysqlUrl) -> None:
    """As after a restart, or where capture began between the two."""
    with database_of(root, DATABASE, [*TABLES, *two_phases("t")[:-1]]) as cursor:
        outcome = logged(root, DATABASE, cursor, ["XA COMMIT 'two'"]).outcome("t")
    assert outcome.error is None
    assert outcome.records == []
    assert [dict(one.tables) for one in outcome.altered] == [{"t": CHANGED}]


def test_what_a_foreign_key_does_is_logged(root: MysqlUrl) -> None:
    """Since MySQL 9.6; preflight refuses such keys where it is not."""
    setup = [
        "CREATE TABLE p (id INT PRIMARY KEY)",
        "CREATE TABLE t (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id)"
        " ON DELETE CASCADE ON UPDATE CASCADE)",
        "CREATE TABLE n (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id) ON DELETE SET NULL)",
        "INSERT INTO p VALUES (1), (2), (3)",
        "INSERT INTO t VALUES (10, 1), (20, 2)",
        "INSERT INTO n VALUES (30, 3)",
    ]
    work = ["DELETE FROM p WHERE id = 1", "UPDATE p SET id = 5 WHERE id = 2", "DELETE FROM p WHERE id = 3"]
    outcome = of(root, setup, work).outcome("t", "n")
    assert outcome.error is None
    assert told(outcome) == [
        ("d", "t", {"id": 10, "p": 1}),
        ("u", "t", {"id": 20, "p": 5}),
        ("u", "n", {"id": 30, "p": None}),
    ]
