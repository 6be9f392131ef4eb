"""How often Python looks for garbage in cycles, in processes of ours."""

import gc

NEW = 10_000
"""How many more containers than at the last look there have to be, not Python's 700. Rows in hand are containers by the
thousand and in no cycle: to look at them over and over was a fifth of what a deep audit cost (`bench.scan`)."""


def collect_seldom() -> None:
    _, second, third = gc.get_threshold()
    gc.set_threshold(NEW, second, third)
