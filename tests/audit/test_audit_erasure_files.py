"""Every byte of every file is looked at, also across the pieces in which it is read."""

from pathlib import Path

import pytest

from audit.search import files, finder
from audit.search.needles import Needles
from changes.errors import Misconfigured

VALUE = b"wei.zhang4823@example.com"


async def test_every_file_of_a_folder_is_looked_through(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "7.db").write_bytes(b"x" * ((1 << 20) - 10) + VALUE + b"x" * 100)
    (tmp_path / "a" / "7.db-wal").write_bytes(VALUE)
    (tmp_path / "other").write_bytes(b"nothing of the sort")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / f"of {VALUE.decode()}").write_bytes(b"")
    found = await files.find(f"sqlite://{tmp_path}", Needles.plain([VALUE]))
    assert {where for where, _ in found.hits} == {"a/b/7.db", "a/7.db-wal", f"of {VALUE.decode()}"}
    assert found.unread == []


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    found = files.look_through("x", [tmp_path / "absent"], Needles.plain([VALUE]))
    assert (found.items, found.hits) == (0, set())


async def test_a_file_in_place_of_the_folder_is_told(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(VALUE)
    with pytest.raises(Misconfigured, match="cannot be read"):
        await files.find(str(path), Needles.plain([VALUE]))


@pytest.mark.parametrize("sink", ["redis", "postgres", "sqlite", "ai_identity", "dao", "credit"])
def test_a_store_that_is_looked_through_whole_has_a_finder(sink: str) -> None:
    assert finder(sink) is not None


def test_the_others_are_looked_through_by_their_rows() -> None:
    assert finder("mongodb") is None
