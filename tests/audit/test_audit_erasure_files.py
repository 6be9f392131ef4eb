"""Every byte of every file is looked at, also across the pieces in which it is read."""

from pathlib import Path

import pytest

from audit.search import files, finder
from audit.search.found import Found
from audit.search.needles import Needles
from audit.search.walked import Shown
from changes.errors import Misconfigured
from sinks.registry import SPECS

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


@pytest.mark.parametrize("sink", SPECS)
def test_every_sink_s_store_is_looked_through(sink: str) -> None:
    assert finder(sink) is not None


def test_what_a_walk_shows_is_looked_through_with_all_that_is_in_it() -> None:
    found = Found("x", Needles.plain([VALUE]))
    shown = Shown(found)
    shown.see("map", {"a": [1, None, {"b": (VALUE.decode(),)}]})
    shown.see("names", {VALUE: 2.5})
    shown.see("another", "wei", {"zhang": "4823@example.com"})
    shown.leave("collection `c`: not allowed")
    assert {where for where, _ in found.end().hits} == {"map", "names"}
    assert (found.items, found.unread) == (3, ["collection `c`: not allowed"])
