"""The fault matrix: whatever happens to a store, it ends as MySQL's history dictates, by itself.

`make fault` tries one fault on each store for a moment, then all of them for longer, and prints the table.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from faulty import FAULTS, PLACES, SERVERS_ONLY, Mended, Patient, patient
from mounts import may_mount

from sinks.registry import SPECS
from tailrace.stack.errors import Unavailable

EVERY_DAY = dict(zip(sorted(SPECS), ["stopped", "killed", "silent", "slow", "restored"] * len(SPECS), strict=False))
EVERY_DAY["sqlite"] = "emptied"
SHORT, LONG, VERY_LONG = 3.0, 20.0, 180.0


def test_every_store_is_in_the_matrix() -> None:
    assert PLACES.keys() == SPECS.keys()


@pytest.fixture(scope="module", params=sorted(SPECS))
def one(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patient]:
    with ExitStack() as leaving:
        try:
            found = leaving.enter_context(patient(request.param, tmp_path_factory.mktemp(request.param)))
        except Unavailable as reason:
            pytest.skip(str(reason))
        yield found


def hurt(one: Patient, fault: str, seconds: float, matrix: dict[tuple[str, str], Mended]) -> None:
    mended = one.mended(FAULTS[fault](one, seconds))
    matrix[fault, one.name] = mended
    assert (mended.verdict, mended.lost, mended.doubled, mended.stale) == ("equal", 0, 0, 0)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_fault_leaves_nothing_wrong(one: Patient, matrix: dict[tuple[str, str], Mended]) -> None:
    hurt(one, EVERY_DAY[one.name], SHORT, matrix)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_leaves_nothing_wrong(
    one: Patient, fault: str, matrix: dict[tuple[str, str], Mended], tmp_path: Path
) -> None:
    if one.name == "sqlite" and fault in SERVERS_ONLY:
        pytest.skip("files have no server that could be stopped")
    if fault == "full" and not may_mount(tmp_path):
        pytest.skip("needs the right to mount a file system")
    hurt(one, fault, LONG, matrix)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("one", ["redis", "postgres", "elasticsearch"], indirect=True)
def test_a_store_is_away_for_minutes(one: Patient, matrix: dict[tuple[str, str], Mended]) -> None:
    mended = one.mended(FAULTS["stopped"](one, VERY_LONG))
    matrix["stopped for 3 min", one.name] = mended
    assert (mended.verdict, mended.lost, mended.doubled, mended.stale) == ("equal", 0, 0, 0)
