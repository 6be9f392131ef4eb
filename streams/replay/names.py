"""What a shadow's places are called. Pure."""

from collections.abc import Sequence

import msgspec

from changes.target import Target
from changes.tier import Tier
from sinks.contract import Swap
from sinks.registry import SPECS


def shadow_of(live: Target, id: str) -> Target:
    """The place beside ``live`` in which the shadow ``id`` gathers its rows, as they would be in ``live``; its lane's
    tier is called as `Replay.lane` says. Raises `Misconfigured` where that cannot be the name of a place."""
    lane = Tier(f"shadow-{id}", 0.0, live.tier.rows, float("inf"))
    return _checked(msgspec.structs.replace(live, place=f"{live.place}_shadow_{id}", stands_for=live.place, tier=lane))


def kept_of(live: Target, id: str) -> Target:
    """What ``live`` is called behind the exchange. Raises as `shadow_of` does."""
    return _checked(msgspec.structs.replace(live, place=f"{live.place}_before_{id}"))


def swaps_of(live: Sequence[Target], id: str) -> list[Swap]:
    return [Swap(one, shadow_of(one, id), kept_of(one, id)) for one in live]


def _checked(target: Target) -> Target:
    SPECS[target.sink].check(target)
    return target
