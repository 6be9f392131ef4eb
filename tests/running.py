"""What stands behind the fixture ``stack``, for tests of any folder to name."""

import os
from dataclasses import dataclass

from tailrace.stack import Stack


@dataclass(frozen=True)
class Running:
    """A stack that is up. ``endpoints`` and ``admin`` hold URLs by version and kind, ``admin`` the superusers'."""

    servers: Stack
    endpoints: dict[str, dict[str, str]]
    admin: dict[str, dict[str, str]]


def own_environ() -> dict[str, str]:
    """The environment without the variables that name somebody's servers, which would keep ours from being started."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FUTURE_")}
