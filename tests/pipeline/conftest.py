"""What the fault matrix found, printed when all tests are done."""

from typing import Any

import pytest

MATRIX = pytest.StashKey[dict[tuple[str, str], Any]]()


@pytest.fixture(scope="session")
def matrix(request: pytest.FixtureRequest) -> dict[tuple[str, str], Any]:
    """By (fault, store), what was left of it."""
    return request.config.stash.setdefault(MATRIX, {})


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    found = config.stash.get(MATRIX, {})
    if not found:
        return
    terminalreporter.section("faults")
    terminalreporter.write_line(f"{'fault':10} {'store':14} {'recovered':>10} {'lost':>5} {'doubled':>8} {'stale':>6}")
    for (fault, store), one in sorted(found.items()):
        terminalreporter.write_line(
            f"{fault:10} {store:14} {one.seconds:8.1f} s {one.lost:5} {one.doubled:8} {one.stale:6}"
        )
