"""What MariaDB logs otherwise than MySQL, on a real server of it."""

from typing import Protocol

import pytest
from streams_logged import Logged, database_of, logged, told
from streams_readers import NATIVE, topology

from changes.errors import Misconfigured
from streams.capture.statements import Effect
from streams.cascades import Followers
from streams.mysql import MysqlUrl
from streams.preflight import followers_of, preflight

pytestmark = NATIVE

DATABASE = "maria_readers"
REPLACED, CHANGED, CREATED = Effect.REPLACED, Effect.CHANGED, Effect.CREATED


class Maria(Protocol):
    """The server that the session shares."""

    def admin(self) -> str: ...


@pytest.fixture
def root(mariadb: Maria) -> MysqlUrl:
    return MysqlUrl.parse(mariadb.admin())


def of(root: MysqlUrl, setup: list[str], work: list[str]) -> Logged:
    with database_of(root, DATABASE, setup) as cursor:
        return logged(root, DATABASE, cursor, work)


CHILD = (
    "CREATE TABLE t (id INT PRIMARY KEY, p INT, other INT,"
    " CONSTRAINT gone FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE ON UPDATE SET NULL)"
)
PARENT = "CREATE TABLE p (id INT PRIMARY KEY)"


def test_what_a_foreign_key_does_is_not_logged(root: MysqlUrl) -> None:
    setup = [PARENT, CHILD, "INSERT INTO p VALUES (1)", "INSERT INTO t VALUES (10, 1, 1)"]
    outcome = of(root, setup, ["DELETE FROM p WHERE id = 1"]).outcome("t", "p")
    assert told(outcome) == [("d", "p", {"id": 1})]


def test_a_foreign_key_that_acts_is_refused_and_mended_by_the_statements_that_are_told(root: MysqlUrl) -> None:
    with database_of(root, DATABASE, [PARENT, CHILD]) as cursor:
        declared = topology(DATABASE, "t")
        with pytest.raises(Misconfigured) as refused:
            preflight(root, declared, "future")
        (problem,) = str(refused.value).splitlines()
        assert problem.startswith(
            "foreign key `gone` of `t` changes its rows without a row event (ON DELETE CASCADE, ON UPDATE SET NULL): "
        )
        drop, add = problem.partition("): ")[2].split("; ")[:2]
        cursor.execute(drop)
        cursor.execute(add.partition(", so that")[0])
        preflight(root, declared, "future")
        cursor.execute("ALTER TABLE t DROP FOREIGN KEY gone")
        cursor.execute("ALTER TABLE t ADD FOREIGN KEY (other) REFERENCES p (id) ON UPDATE CASCADE")
        with pytest.raises(Misconfigured, match="ON UPDATE CASCADE"):
            followers_of(root, declared, "future")
        assert followers_of(root, topology(DATABASE, "p"), "future") == {}
        emulated = topology(DATABASE, "p", "t", more=("cascades: emulate",))
        assert followers_of(root, emulated, "future") == {"p": Followers(keys=frozenset({"t"}))}


def test_its_own_statements_are_understood(root: MysqlUrl) -> None:
    work = [
        "INSERT INTO t VALUES (1, 1)",
        "CREATE OR REPLACE TABLE t (id INT PRIMARY KEY, v INT)",
        "ALTER ONLINE TABLE IF EXISTS t WAIT 5 ADD COLUMN IF NOT EXISTS w INT DEFAULT 3",
        "INSERT INTO t (id) VALUES (2)",
        "SET STATEMENT max_statement_time = 100 FOR TRUNCATE TABLE t",
        "RENAME TABLE IF EXISTS t WAIT 5 TO away",
        "CREATE TABLE t (id INT PRIMARY KEY) SELECT 4 AS id",
        "DROP TABLE IF EXISTS away, t WAIT 5",
        "CREATE OR REPLACE TABLE t (id INT PRIMARY KEY) SELECT 5 AS id",
    ]
    outcome = of(root, ["CREATE TABLE t (id INT PRIMARY KEY, v INT)"], work).outcome("t")
    assert outcome.error is None
    assert [row for _, _, row in told(outcome)] == [
        {"id": 1, "v": 1},
        {"id": 2, "v": None, "w": 3},
        {"id": 4},
        {"id": 5},
    ]
    assert [dict(one.tables) for one in outcome.altered if one.tables] == [
        {"t": REPLACED},
        {"t": CHANGED},
        {"t": REPLACED},
        {"t": REPLACED},
        {"t": CREATED},
        {"t": REPLACED},
        {"t": REPLACED},
    ]


def test_an_alter_that_is_logged_in_two_phases_counts_when_it_begins_and_when_it_is_done(root: MysqlUrl) -> None:
    work = [
        "SET SESSION binlog_alter_two_phase = 1",
        "INSERT INTO t VALUES (1)",
        "ALTER TABLE t ADD COLUMN v INT DEFAULT 5",
        "INSERT INTO t VALUES (2, 2)",
    ]
    outcome = of(root, ["CREATE TABLE t (id INT PRIMARY KEY)"], work).outcome("t")
    assert outcome.error is None
    assert [row for _, _, row in told(outcome)] == [{"id": 1}, {"id": 2, "v": 2}]
    assert [dict(one.tables) for one in outcome.altered] == [{"t": CHANGED}] * 2


TABLES = ["CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE other (id INT PRIMARY KEY)"]


def xa(table: str, *endings: str) -> list[str]:
    return [
        "XA START 'x'",
        f"INSERT INTO {table} VALUES (1)",
        "XA END 'x'",
        *endings,
        f"INSERT INTO {table} VALUES (2)",
    ]


def test_an_xa_transaction_in_one_phase_is_an_ordinary_one(root: MysqlUrl) -> None:
    outcome = of(root, TABLES, xa("t", "XA COMMIT 'x' ONE PHASE")).outcome("t")
    assert outcome.error is None
    assert [row["id"] for _, _, row in told(outcome)] == [1, 2]


@pytest.mark.parametrize("ending", ["XA COMMIT 'x'", "XA ROLLBACK 'x'"])
def test_an_xa_transaction_in_two_phases_is_refused_of_captured_tables_only(root: MysqlUrl, ending: str) -> None:
    work = ["INSERT INTO t VALUES (9)", *xa("t", "XA PREPARE 'x'", ending)]
    refused = of(root, TABLES, work).outcome("t")
    assert refused.error is not None
    assert "prepares changes of captured tables (XA PREPARE)" in refused.error[1]
    assert [row["id"] for _, _, row in told(refused)] == [9]
    passed = of(root, TABLES, work).outcome("other")
    assert passed.error is None
    assert passed.altered == []
