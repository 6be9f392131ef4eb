"""Durations and the tiers that stand without a declaration."""

import pytest

from changes.errors import Misconfigured
from changes.tier import DEFAULT_TIERS, seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [("5ms", 0.005), ("1.5s", 1.5), ("0s", 0), ("10m", 600), ("1h", 3600), ("7d", 604800), ("2 s", 2)],
)
def test_a_duration_is_a_number_and_a_unit(text: str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "5", "ms", "5us", "-5s", "5 sec", "1h30m", "1,5s", "1e3s", ".5s", "5s\n"])
def test_anything_else_is_refused_with_the_form_to_write(text: str) -> None:
    with pytest.raises(Misconfigured, match="is no duration: write a number and one of ms, s, m, h, d"):
        seconds(text)


def test_default_tiers_go_from_soon_to_late() -> None:
    assert list(DEFAULT_TIERS) == ["realtime", "local", "batch", "async", "hourly"]
    fresh = [tier.fresh for tier in DEFAULT_TIERS.values()]
    assert fresh == sorted(fresh)
    assert all(tier.flush < tier.fresh and tier.name == name for name, tier in DEFAULT_TIERS.items())
