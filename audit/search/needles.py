"""Bytes that are looked for, told by keyed hashes alone, and finding them in any data at any place: pure.

Whoever has the secret can look for them again later; from what is kept of them nobody learns what they are without it.
Each is found by the hash of eight of its bytes, taken at every offset of the data by numpy, whatever their number; what
has that hash is then held against an HMAC of the whole.
"""

import bisect
import hashlib
import hmac
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

WINDOW = 8
"""The least length of what can be looked for: shorter texts stand in anything by chance."""
LONGEST = 64
_BITS, _FIRST = 24, 20
_DIGEST = 16
_CHUNK = 1 << 20


class Needle(msgspec.Struct, frozen=True):
    """``window`` hashes the eight bytes at ``at``; ``digest`` is the HMAC of all ``length`` bytes, in hex.

    ``what`` says what it is in words that hold nothing of it, such as ``users.email``. ``strict``: the value names its
    person. ``group`` numbers the needles that stand for one and the same value, written in other ways.
    """

    window: int
    at: int
    length: int
    digest: str
    what: str = ""
    strict: bool = False
    group: int = 0


def digest(secret: bytes, data: bytes) -> str:
    """The keyed hash by which anything is told again, in hex."""
    return hmac.digest(secret, data, "sha256")[:_DIGEST].hex()


def needle(secret: bytes, data: bytes, what: str = "", *, strict: bool = False, group: int = 0) -> Needle:
    """Of at most the first `LONGEST` bytes of ``data``. Raises `ValueError` where they are fewer than `WINDOW`."""
    data = data[:LONGEST]
    if len(data) < WINDOW:
        raise ValueError(f"{len(data)} bytes are too few to look for")
    at = max(range(len(data) - WINDOW + 1), key=lambda start: (_telling(data[start : start + WINDOW]), -start))
    (window,) = _hashes(np.frombuffer(data[at : at + WINDOW], "<u8"), _factors(secret))
    return Needle(int(window), at, len(data), digest(secret, data), what, strict, group)


def _telling(window: bytes) -> tuple[int, int]:
    """Digits tell values from one another better than words do, and few things are told by few distinct bytes."""
    return sum(byte in b"0123456789" for byte in window), len(set(window))


def _factors(secret: bytes) -> npt.NDArray[np.uint64]:
    """Three odd numbers that nobody else knows."""
    return np.frombuffer(hashlib.sha256(secret + b"window").digest()[:24], "<u8") | np.uint64(1)


def _hashes(words: npt.NDArray[np.uint64], factors: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """`_BITS` bits of each word, mixed as MurmurHash3 ends, with factors of our own."""
    mixed = words
    for factor in factors:
        mixed = mixed * factor
        mixed ^= mixed >> np.uint64(29)
    return mixed >> np.uint64(64 - _BITS)


class Needles:
    """All that is looked for at once. A needle is told by its index in ``needles``."""

    def __init__(self, secret: bytes, needles: Sequence[Needle]) -> None:
        self.needles = needles
        self._secret = secret
        self._factors = _factors(secret)
        self._windows = np.unique(np.array([one.window for one in needles], dtype=np.uint64))
        self._there = np.zeros(1 << _FIRST, dtype=bool)
        self._there[self._windows >> np.uint64(_BITS - _FIRST)] = True
        # Many may have the same eight bytes, a word that all texts use: what stands there is digested once for all
        # that have it at the same place.
        self._by_window: dict[int, dict[tuple[int, int], dict[str, list[int]]]] = {}
        for index, one in enumerate(needles):
            alike = self._by_window.setdefault(one.window, {}).setdefault((one.at, one.length), {})
            alike.setdefault(one.digest, []).append(index)

    @classmethod
    def plain(cls, values: Sequence[bytes], secret: bytes = b"plain") -> "Needles":
        """For values that are known, each of `WINDOW` bytes at least."""
        return cls(secret, [needle(secret, value) for value in values])

    def found(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Each (index of a needle, offset in ``data``) at which it stands, in no order."""
        if len(data) < WINDOW or not self._by_window:
            return
        for shift in range(min(WINDOW, len(data) - WINDOW + 1)):
            words = np.frombuffer(data, "<u8", (len(data) - shift) // WINDOW, shift)
            hashes = _hashes(words, self._factors)
            places = np.flatnonzero(self._there[hashes >> np.uint64(_BITS - _FIRST)])  # most are none, and soon told
            for place in places[np.isin(hashes[places], self._windows)]:
                start = int(place) * WINDOW + shift
                for (before, length), alike in self._by_window[int(hashes[place])].items():
                    begin = start - before
                    part = data[begin : begin + length] if begin >= 0 else b""
                    if len(part) == length:
                        yield from ((index, begin) for index in alike.get(digest(self._secret, part), ()))

    def within(self, data: bytes) -> set[int]:
        """The needles that stand in ``data``."""
        return {index for index, _ in self.found(data)}

    def hides(self, text: str) -> str:
        """``text``, or words that say no more than that it holds a needle."""
        return "a name that itself holds the value" if self.within(text.encode("utf-8", "replace")) else text


class Haystack:
    """Many small items looked through together, for each look has its price."""

    def __init__(self, needles: Needles) -> None:
        self._needles = needles
        self._parts: list[bytes] = []
        self._starts: list[int] = []
        self._names: list[str] = []
        self._gathered = 0
        self.items = 0
        self.size = 0

    def add(self, name: str, data: bytes) -> Iterator[tuple[str, int]]:
        """Each (name of an item, needle) that is found by now; the rest is `finish`ed."""
        self._starts.append(self._gathered)
        self._names.append(name)
        self._parts.append(data)
        self._gathered += len(data) + 1
        self.items += 1
        self.size += len(data)
        if self._gathered >= _CHUNK:
            yield from self.finish()

    def finish(self) -> Iterator[tuple[str, int]]:
        data = b"\0".join(self._parts)
        for index, at in self._needles.found(data):
            yield self._names[bisect.bisect_right(self._starts, at) - 1], index
        self._parts, self._starts, self._names, self._gathered = [], [], [], 0
