"""What tests of every sink share: its name, its harness on real servers, and a place of its own there."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from conformance import Harness, Others, Servers, Stage, staged
from harnesses import HARNESSES

from sinks.registry import SPECS


@pytest.fixture(scope="module", params=sorted(SPECS))
def name(request: pytest.FixtureRequest) -> Any:
    assert request.param in HARNESSES, f"the sink `{request.param}` has no harness in harnesses.py"
    return request.param


@pytest.fixture(scope="module")
def harness(name: str, stack: Servers, beside: Others) -> Harness:
    return HARNESSES[name](stack, beside)


@pytest.fixture
async def stage(harness: Harness, name: str) -> AsyncIterator[Stage]:
    async with staged(harness, name) as opened:
        yield opened


@pytest.fixture(scope="module")
async def shared(harness: Harness, name: str) -> AsyncIterator[Stage]:
    """One stage for many examples, each with keys of its own."""
    async with staged(harness, name) as opened:
        yield opened
