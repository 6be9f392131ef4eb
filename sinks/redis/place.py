"""From a pattern such as ``job:{id}`` to keys, and back to the keys that it can have made.

A value stands in a key as it is, but for ``%`` and ``:``, which become ``%25`` and ``%3A``. With a ``:`` between any
two placeholders no two rows share a key, and no key of one pattern is taken for one of another such as
``job:{id}:skills``.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from changes.canonical import Value
from changes.errors import Misconfigured
from changes.target import Target

STAMP_PREFIX = "_tr:"
"""What stands before a row's key to make that of its position."""

META_PREFIX = "_tailrace_meta:"
"""What stands before a lane's name to make the key of what the lane keeps here; no row's key may begin so."""

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_GLOB_SPECIAL = re.compile(r"([\\*?\[\]])")


def check(target: Target) -> None:
    """Raises `Misconfigured` where rows of the target could not be told apart by their keys."""
    where = f"`{target.table}` → `redis`: place `{target.place}`"
    literals, names = _parsed(target.place)
    if any("{" in literal or "}" in literal for literal in literals):
        raise Misconfigured(f"{where}: write a column's name in braces, as in `job:{{id}}`")
    if missing := [name for name in target.key if name not in names]:
        raise Misconfigured(f"{where}: it must name the key column `{missing[0]}`, or rows would share a Redis key")
    if any(":" not in literal for literal in literals[1:-1]):
        raise Misconfigured(f"{where}: put a `:` between two columns, or rows would share a Redis key")
    if not literals[0] or target.place.startswith((STAMP_PREFIX, META_PREFIX)):
        raise Misconfigured(f"{where}: begin it with a word of its own, such as `{target.table}:`")
    if target.owns == "columns":
        raise Misconfigured(f"{where}: `owns: columns` is not served here; a value is written whole")
    if target.keep == "cache" and not target.keep_for:
        raise Misconfigured(f"{where}: `keep: cache` needs a lifetime; declare `keep_for`")


def render(pattern: str, row: Mapping[str, Value]) -> str:
    """The key of a row, which must hold the columns that the pattern names; NULL is written as nothing."""
    literals, names = _parsed(pattern)
    parts = [literals[0]]
    for name, literal in zip(names, literals[1:], strict=True):
        parts += (_written(row[name]), literal)
    return "".join(parts)


def glob(pattern: str) -> str:
    """A ``MATCH`` pattern for every key of a pattern, and some that are not: `matches` tells."""
    literals, _ = _parsed(pattern)
    return "*".join(_GLOB_SPECIAL.sub(r"\\\1", literal) for literal in literals)


@lru_cache(maxsize=256)
def matches(pattern: str) -> re.Pattern[str]:
    """An expression that matches whole keys which the pattern can have made."""
    literals, _ = _parsed(pattern)
    return re.compile("[^:]*".join(map(re.escape, literals)), re.DOTALL)


@lru_cache(maxsize=256)
def stamped(pattern: str) -> re.Pattern[str]:
    """An expression that matches the same keys as `matches`, and those of their stamps."""
    return re.compile(f"(?:{re.escape(STAMP_PREFIX)})?{matches(pattern).pattern}", re.DOTALL)


def shape(pattern: str) -> str:
    """The pattern without its columns' names: two patterns of one shape would write each other's keys."""
    return _PLACEHOLDER.sub("{}", pattern)


@lru_cache(maxsize=256)
def _parsed(pattern: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The literal parts, of which there is one more than columns, and the columns' names."""
    parts = _PLACEHOLDER.split(pattern)
    return tuple(parts[::2]), tuple(parts[1::2])


def _written(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    text = value.decode() if isinstance(value, bytes) else str(value)
    return text.replace("%", "%25").replace(":", "%3A")
