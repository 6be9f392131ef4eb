"""MariaDB's types at their extremes: both readers and SELECT agree; what its binlog does not tell is refused."""

import json
from collections.abc import Iterator

import pytest
from streams_every import DERIVED, EVERY_ON_MARIADB, Read, differing, read
from streams_mariadb import MARIADB, mariadb
from streams_readers import NATIVE, topology

from changes.errors import Misconfigured
from streams.mysql import MysqlUrl, session
from streams.preflight import preflight

pytestmark = MARIADB
DATABASE = "own_types"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MysqlUrl]:
    with mariadb(tmp_path_factory.mktemp("mariadb")) as url:
        yield url


@pytest.fixture(scope="module")
def found(root: MysqlUrl) -> Read:
    return read(root, EVERY_ON_MARIADB, DERIVED, mariadb=True)


def test_the_binlog_and_a_select_give_what_was_stored(found: Read) -> None:
    assert differing(found.logged, found.expected) == {}
    assert differing(found.selected, found.expected) == {}


@NATIVE
def test_both_readers_write_what_was_stored(found: Read) -> None:
    for outcome in found.world.outcomes([found.raw]):
        assert outcome.error is None
        rows = [json.loads(value or b"null")["after"] for _, _, value, _, _ in outcome.records]
        assert differing(rows, found.expected) == {}


def test_the_schema_that_comes_with_the_rows_is_the_one_that_the_server_describes(found: Read) -> None:
    assert found.mapped == found.described


@pytest.mark.parametrize(
    ("type_", "instead", "value"),
    [
        ("uuid", "CHAR(36)", "'123e4567-e89b-12d3-a456-426655440000'"),
        ("inet6", "VARCHAR(39)", "'2001:db8::1'"),
        ("inet4", "VARCHAR(15)", "'192.0.2.1'"),
        ("longtext compressed", "longtext", "'text'"),
        ("varbinary(20) compressed", "varbinary(20)", "'text'"),
    ],
)
def test_what_the_binlog_does_not_tell_is_refused_and_mended_by_the_statement_told(
    root: MysqlUrl, type_: str, instead: str, value: str
) -> None:
    with session(root) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE OR REPLACE DATABASE {DATABASE} CHARACTER SET utf8mb4")
        cursor.execute(f"CREATE TABLE {DATABASE}.t (id INT PRIMARY KEY, own {type_})")
        cursor.execute(f"INSERT INTO {DATABASE}.t VALUES (1, {value})")
        with pytest.raises(Misconfigured, match="column `own` of `t` has the type") as refused:
            preflight(root, topology(DATABASE, "t"), "future")
        mend = str(refused.value).partition(": ")[2]
        assert mend == f"ALTER TABLE `{DATABASE}`.`t` MODIFY `own` {instead}"
        cursor.execute(mend)
        preflight(root, topology(DATABASE, "t"), "future")
        cursor.execute(f"SELECT own FROM {DATABASE}.t")
        (kept,) = cursor.fetchone() or ()
        assert (kept if isinstance(kept, str) else kept.decode()) == value.strip("'")
