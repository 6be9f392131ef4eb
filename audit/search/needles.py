"""Finding many needles at once in any data, at any place: pure.

The hash of the eight bytes at every offset of the data is taken by numpy, whatever the number of needles. What has the
hash of a needle's is a candidate; many at once are held against the hash of the whole needle, and what has that too,
against its HMAC.
"""

import bisect
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from msgspec import UNSET

from audit.search.needle import (
    BLOCK,
    CHECK_BITS,
    WINDOW,
    WINDOW_BITS,
    Keys,
    Needle,
    Numbers,
    Places,
    Text,
    digest,
    needles_of,
    words_of,
)

_PAIRS = 1 << 17
"""Candidates that are looked at at once, or all of one place."""
_REMEMBERED = 1 << 14
_CHUNK = 1 << 20
_ANY = np.uint64(1 << CHECK_BITS)
"""The check of a needle that has none."""


class Needles:
    """All that is looked for at once. A needle is told by its index in ``needles``."""

    def __init__(self, secret: bytes, needles: Sequence[Needle]) -> None:
        self.needles = needles
        self._secret, self._keys = secret, Keys.of(secret)
        self._known: dict[bytes, str] = {}
        alike: dict[tuple[str, int], list[int]] = {}
        for index, one in enumerate(needles):
            alike.setdefault((one.digest, one.at), []).append(index)
        made = sorted((*self._told(needles[same[0]]), same) for same in alike.values())
        self._parts = [same for _, _, same in made]
        self._numbers = {index: number for number, same in enumerate(self._parts) for index in same}
        self._left_out: set[int] = set()
        self._wanted = np.ones(len(made), dtype=bool)
        firsts = [needles[same[0]] for same in self._parts]
        self._digests = [one.digest for one in firsts]
        self._ats = np.array([one.at for one in firsts], dtype=np.int64)
        self._lengths = np.array([one.length for one in firsts], dtype=np.int64)
        self._checks = np.array([check for _, check, _ in made], dtype=np.uint64)
        self._windows, self._firsts, self._many = np.unique(
            np.array([window for window, _, _ in made], dtype=np.uint64), return_index=True, return_counts=True
        )
        # A table of which few places are taken tells most offsets at once.
        bits = min(max(16, len(made).bit_length() + 6), WINDOW_BITS)
        self._coarse = np.uint64(WINDOW_BITS - bits)
        self._there = np.zeros(1 << bits, dtype=bool)
        self._there[self._windows >> self._coarse] = True

    def leave_out(self, indexes: Iterable[int]) -> None:
        """Look no longer for these: what stands everywhere costs little then."""
        new = set(indexes) - self._left_out
        self._left_out |= new
        for number in {self._numbers[index] for index in new}:
            self._wanted[number] = not self._left_out.issuperset(self._parts[number])

    def _told(self, one: Needle) -> tuple[int, int]:
        """A needle's window, and its check."""
        if one.mark is UNSET:
            return (0 if one.window is UNSET else one.window), int(_ANY)
        mark = self._keys.masked(int(one.mark, 16), one.digest, one.at)
        return mark & ((1 << WINDOW_BITS) - 1), mark >> WINDOW_BITS

    @classmethod
    def plain(cls, values: Sequence[bytes], secret: bytes = b"plain") -> "Needles":
        """For values that are known, each of `WINDOW` bytes at least."""
        return cls(secret, needles_of(secret, [Text(value) for value in values]))

    def found(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Each (index of a needle, offset in ``data``) at which it stands, in no order."""
        for number, offset in self._found(data, self._wanted):
            yield from ((index, offset) for index in self._parts[number] if index not in self._left_out)

    def _found(self, data: bytes, wanted: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
        """Each (number of a part, offset) of those that are ``wanted``."""
        if len(data) < WINDOW or not self._parts:
            return
        words = words_of(data)
        gathered: list[tuple[Places, Places]] = []
        pairs = 0
        for start in range(0, len(words), BLOCK):
            places, which = self._candidates(words[start : start + BLOCK])
            if len(places):
                gathered.append((places + start, which))
                pairs += int(self._many[which].sum())
            if pairs >= _PAIRS:
                yield from self._held(data, words, gathered, wanted)
                gathered, pairs = [], 0
        if gathered:
            yield from self._held(data, words, gathered, wanted)

    def _candidates(self, words: Numbers) -> tuple[Places, Places]:
        """Offsets at which a window stands, and the number of that window."""
        hashes = self._keys.windows(words)
        near = np.flatnonzero(self._there[(hashes >> self._coarse).view(np.int64)])
        hashes = hashes[near]
        which = np.minimum(np.searchsorted(self._windows, hashes), len(self._windows) - 1)
        same = self._windows[which] == hashes
        return near[same], which[same]

    def _held(
        self, data: bytes, words: Numbers, gathered: list[tuple[Places, Places]], wanted: npt.NDArray[np.bool_]
    ) -> Iterator[tuple[int, int]]:
        """Candidates held against all that has their windows."""
        places, which = (np.concatenate(some) for some in zip(*gathered, strict=True))
        many = self._many[which]
        cuts = np.flatnonzero(np.diff(np.cumsum(many) // _PAIRS)) + 1
        for some in np.split(np.arange(len(places)), cuts):
            each = many[some]
            nth = np.arange(each.sum()) - np.repeat(np.cumsum(each) - each, each)
            parts = np.repeat(self._firsts[which[some]], each) + nth
            begins = np.repeat(places[some], each) - self._ats[parts]
            fits = wanted[parts] & (begins >= 0) & (begins + self._lengths[parts] <= len(data))
            parts, begins = parts[fits], begins[fits]
            checks = self._checks[parts]
            right = (checks == self._keys.checks(words, begins, self._lengths[parts])) | (checks == _ANY)
            parts, begins = parts[right], begins[right]
            ends = begins + self._lengths[parts]
            for part, begin, end in zip(parts.tolist(), begins.tolist(), ends.tolist(), strict=True):
                if self._digest(data[begin:end]) == self._digests[part]:
                    yield part, begin

    def _digest(self, part: bytes) -> str:
        """The same texts stand in many places: each is digested once, as long as it is remembered."""
        if (known := self._known.get(part)) is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[part] = digest(self._secret, part)
        return known

    def within(self, data: bytes) -> set[int]:
        """The needles that stand in ``data``."""
        return {index for index, _ in self.found(data)}

    def hides(self, text: str) -> str:
        """``text``, or words that say no more than that it holds a needle, be it one that is left out."""
        everything = np.ones_like(self._wanted)
        held = next(self._found(text.encode("utf-8", "replace"), everything), None)
        return text if held is None else "a name that itself holds the value"


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
