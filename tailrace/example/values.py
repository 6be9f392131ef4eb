"""Single values: plain ones, and those that stores are known to get wrong.

Every function draws from the given `random.Random` and from nothing else.
"""

import datetime
import json
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

AWKWARD = (
    "",
    " ",
    "  leading and trailing  ",
    'O\'Brien said "no" -- ; DROP',
    "back\\slash \\n \\0 %s %(x)s {}",
    "line\nfeed\r\nreturn\ttab",
    "🚀👩‍👩‍👧‍👦🇨🇳 emoji",
    "𠮷野家の𪚥と𠀋",
    "e\u0301 is not é; ﬁ ß ı İ",
    "שלום \u202bעולם\u202c \u200b\ufeff",
    "<b>&amp;</b> $1 `tick`",
    "NULL",
    "null",
    "a,b;c\td|e",
)

AWKWARD_JSON: tuple[object, ...] = (
    {},
    [],
    "",
    '文本 "quoted" \\ 🚀',
    True,
    0,
    -1,
    9007199254740993,
    -9223372036854775808,
    18446744073709551615,
    0.1,
    1e-7,
    1e22,
    [1, 1.0, "1", None, False, [], {}],
    {"": "empty name", "a.b": 1, "$set": {"x": 1}, "键": "值", "emoji 🎈": [None]},
    {"deep": {"er": {"and": {"deeper": [[[[{"end": None}]]]]}}}},
    {"z": 1, "a": 2, "aa": 3, "B": 4},
    "null",
)
_AWKWARD_JSON = tuple(json.dumps(value, ensure_ascii=False) for value in (*AWKWARD_JSON, None))

_DAYS = tuple(str(datetime.date(2024, 1, 1) + datetime.timedelta(n)) for n in range(800))
_TWO = tuple(f"{n:02d}" for n in range(60))
_FAR_DAYS = ("1000-01-01", "1969-12-31", "1970-01-01", "2000-02-29", "2038-01-20", "9999-12-31")


def below(rng: random.Random, end: int) -> int:
    """A whole number, 0 ≤ n < end (three times as fast as `randrange`; `end` up to 2**53)."""
    return int(rng.random() * end)


def pick(rng: random.Random, choices: Sequence[T]) -> T:
    """One of `choices`, all equally likely."""
    return choices[int(rng.random() * len(choices))]


def seldom(rng: random.Random, share: float) -> bool:
    """True for that share of calls."""
    return rng.random() < share


def awkward(rng: random.Random, text: str, limit: int) -> str:
    """`text`, or in 2 % of calls a string that breaks careless code; never longer than `limit` characters."""
    return (pick(rng, AWKWARD) if rng.random() < 0.02 else text)[:limit]


def prose(rng: random.Random, sentences: Sequence[str], most: int = 4, longest: int = 18_000) -> str:
    """1 … `most` sentences; in 2 % of calls awkward, in 0.1 % up to `longest` characters.

    A character takes at most 3 bytes in all the sentences of `words` but a few emoji, so that the
    default fits a TEXT column (65,535 bytes).
    """
    draw = rng.random()
    if draw < 0.001:
        return "\n\n".join(rng.choices(sentences, k=longest // 30))[:longest]
    if draw < 0.021:
        return pick(rng, AWKWARD)
    return " ".join(rng.choices(sentences, k=1 + below(rng, most)))


def document(rng: random.Random, plain: object) -> str:
    """JSON text of `plain`, or in 4 % of calls of something that is legal but unexpected."""
    if rng.random() < 0.04:
        return pick(rng, _AWKWARD_JSON)
    return json.dumps(plain, ensure_ascii=False)


def day(rng: random.Random) -> str:
    """A DATE; in 1 % of calls far from today."""
    return pick(rng, _FAR_DAYS if rng.random() < 0.01 else _DAYS)


def moment(rng: random.Random, digits: int = 0) -> str:
    """A DATETIME or TIMESTAMP in UTC with that many digits of seconds, 2024 to early 2026."""
    second = int(rng.random() * 86400)
    clock = f"{pick(rng, _DAYS)} {_TWO[second // 3600]}:{_TWO[second // 60 % 60]}:{_TWO[second % 60]}"
    if digits == 0:
        return clock
    return f"{clock}.{int(rng.random() * 10**digits):0{digits}d}"


def decimal(rng: random.Random, precision: int, scale: int, usual: float) -> str:
    """The text of a DECIMAL(precision, scale): around ± `usual`; in 1 % of calls zero or an extreme.

    `usual` must fit the column.
    """
    if rng.random() < 0.01:
        nines = f"{'9' * (precision - scale)}.{'9' * scale}"
        smallest = f"0.{'0' * (scale - 1)}1"
        return pick(rng, (nines, f"-{nines}", smallest, f"-{smallest}", f"0.{'0' * scale}"))
    return f"{(rng.random() * 1.3 - 0.3) * usual:.{scale}f}"


def count(rng: random.Random, usual: int) -> int:
    """An INT UNSIGNED below `usual`; in 0.5 % of calls the greatest there is."""
    return 4294967295 if rng.random() < 0.005 else below(rng, usual)


def ratio(rng: random.Random) -> float:
    """A DOUBLE from 0 to 1, now and then one with an exponent or a rounding trap."""
    if rng.random() < 0.02:
        return pick(rng, (0.0, 1.0, 0.1 + 0.2, 1e-7, 2.2250738585072014e-308, 1.0000000000000002))
    return round(rng.random(), 4)


def octets(rng: random.Random, length: int) -> bytes:
    """That many random bytes; now and then all zero, or with zeros at the end."""
    if rng.random() < 0.02:
        return bytes(length) if rng.random() < 0.5 else b"\xff" + bytes(length - 1)
    return rng.randbytes(length)
