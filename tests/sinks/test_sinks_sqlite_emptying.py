"""A user's file written anew: no byte of what was deleted stays, and whoever has the file open goes on."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from changes.errors import Transient
from sinks.sql.sqlite.emptying import rewritten
from sinks.sql.sqlite.files import path_of

TEXT = "a text that shall be gone, to its last byte. " * 200


def filled(folder: Path) -> sqlite3.Connection:
    path = path_of(folder, "7")
    path.parent.mkdir()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL").close()
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)")
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(number, TEXT) for number in range(50)])
    return connection


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_no_byte_of_a_deleted_row_stays_while_the_file_is_open(tmp_path: Path) -> None:
    with closing(filled(tmp_path)) as lane:
        lane.execute("DELETE FROM t WHERE id > 0")
        lane.execute("UPDATE t SET text = 'stays'")
        assert TEXT[:40].encode() in everything(tmp_path)
        assert rewritten(tmp_path, "7")
        assert TEXT[:40].encode() not in everything(tmp_path)
        assert b"stays" in everything(tmp_path)
        lane.execute("INSERT INTO t VALUES (1, 'new')")
        assert lane.execute("SELECT id, text FROM t").fetchall() == [(0, "stays"), (1, "new")]
    with closing(sqlite3.connect(path_of(tmp_path, "7"))) as other:
        assert other.execute("SELECT count(*) FROM t").fetchone() == (2,)


def test_a_file_that_somebody_writes_to_is_told(tmp_path: Path) -> None:
    with closing(filled(tmp_path)) as lane:
        lane.execute("BEGIN IMMEDIATE")
        with pytest.raises(Transient, match="locked"):
            rewritten(tmp_path, "7", busy=0.1)
        lane.execute("ROLLBACK")


def test_where_there_is_no_file_none_is_made(tmp_path: Path) -> None:
    assert not rewritten(tmp_path, "8")
    assert [*tmp_path.iterdir()] == []
