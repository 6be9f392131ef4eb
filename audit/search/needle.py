"""Bytes that are looked for, told by keyed hashes alone: pure.

Whoever has the secret can look for them again later. Who has it not learns of each, from what is kept: the column it
stood in, its length (up to `LONGEST`), where in it the eight bytes stand by which it is found (6 bits), and whether
two are equal. Of the bytes themselves 0 bits, as long as HMAC-SHA-256 cannot be told from chance without its key: the
hashes by which numpy finds candidates are no such functions, so they stand under a mask that is one. (Receipts of
format 1 have 24 bits of the hash of eight bytes without a mask: who knows many values of an installation might work
out its factors from these.)
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET, UnsetType

WINDOW = 8
"""The least length of what can be looked for: shorter texts stand in anything by chance."""
LONGEST = 64
WINDOW_BITS, CHECK_BITS = 24, 40
_DIGEST = 16
BLOCK = 1 << 15
"""Offsets whose hashes are taken at once: they stay in the processor's cache."""
_AT_ONCE = 1 << 12

Numbers = npt.NDArray[np.uint64]
Windows = npt.NDArray[np.uint32]
Places = npt.NDArray[np.int64]


class Needle(msgspec.Struct, frozen=True):
    """``digest`` is the HMAC of all ``length`` bytes, in hex; ``mark``, under its mask, in hex too, holds `WINDOW_BITS`
    of a hash of the eight bytes at ``at``, and `CHECK_BITS` of a hash of all. One that an older release made has the
    former alone, as ``window``.

    ``what`` says what it is in words that hold nothing of it, such as ``users.email``. ``strict``: the value names its
    person. ``group`` numbers the needles that stand for one and the same value, written in other ways.
    """

    at: int
    length: int
    digest: str
    what: str = ""
    strict: bool = False
    group: int = 0
    mark: str | UnsetType = UNSET
    window: int | UnsetType = UNSET


@dataclass(frozen=True)
class Text:
    """What a needle is to be made of. Of ``data`` the first `LONGEST` bytes count."""

    data: bytes
    what: str = ""
    strict: bool = False
    group: int = 0


@dataclass(frozen=True)
class Keys:
    """What a secret gives: numbers and a key that nobody else knows."""

    window: Numbers
    check: np.uint64
    mark: bytes

    @classmethod
    def of(cls, secret: bytes) -> "Keys":
        numbers = np.frombuffer(hashlib.sha256(secret + b"window").digest(), "<u8") | np.uint64(1)
        return cls(numbers[:3], numbers[3], hashlib.sha256(secret + b"mark").digest())

    def windows(self, words: Numbers) -> Numbers:
        """`WINDOW_BITS` bits of each word, mixed as MurmurHash3 ends, with factors of our own."""
        mixed: Numbers = words * self.window[0]
        shifted = np.empty_like(mixed)
        for factor in (*self.window[1:], None):
            np.right_shift(mixed, np.uint64(29), out=shifted)
            np.bitwise_xor(mixed, shifted, out=mixed)
            if factor is not None:
                np.multiply(mixed, factor, out=mixed)
        mixed >>= np.uint64(64 - WINDOW_BITS)
        return mixed

    def checks(self, words: Numbers, begins: Places, lengths: Places) -> Numbers:
        """`CHECK_BITS` bits of each stretch of so many bytes, of what `words_of` gives."""
        mixed, last = lengths.astype(np.uint64), lengths - WINDOW
        for step in range(0, LONGEST, WINDOW):
            mixed = (mixed ^ words[begins + np.minimum(last, step)]) * self.check
            mixed ^= mixed >> np.uint64(29)
        return mixed >> np.uint64(64 - CHECK_BITS)

    def masked(self, mark: int, digest: str, at: int) -> int:
        """``mark`` under its mask, or taken out from under it."""
        mask = hmac.digest(self.mark, f"{digest} {at}".encode(), "sha256")
        return mark ^ int.from_bytes(mask[: (WINDOW_BITS + CHECK_BITS) // 8])


def digest(secret: bytes, data: bytes) -> str:
    """The keyed hash by which anything is told again, in hex."""
    return hmac.digest(secret, data, "sha256")[:_DIGEST].hex()


def words_of(data: bytes) -> Numbers:
    """The eight bytes at every offset of ``data``, of which there are eight at least."""
    return np.ndarray((len(data) - WINDOW + 1,), "<u8", data, strides=(1,))


def needle(secret: bytes, data: bytes, what: str = "", *, strict: bool = False, group: int = 0) -> Needle:
    """A single one. Raises `ValueError` where there are fewer bytes than `WINDOW`."""
    (made,) = needles_of(secret, [Text(data, what, strict, group)])
    return made


def needles_of(secret: bytes, texts: Sequence[Text]) -> list[Needle]:
    """One of each text. Raises `ValueError` where one has fewer bytes than `WINDOW`.

    Each is found by those of its eight bytes that are the rarest of all these texts: what many persons' texts have, a
    word, stands in all that is looked through too.
    """
    cut = {text.data[:LONGEST]: 0 for text in texts}
    if not cut:
        return []
    if (least := min(map(len, cut))) < WINDOW:
        raise ValueError(f"{least} bytes are too few to look for")
    keys, lengths = Keys.of(secret), np.array([*map(len, cut)])
    data, starts = b"".join(cut), np.cumsum(lengths) - lengths
    words = words_of(data)
    blocks = [keys.windows(words[at : at + BLOCK]).astype(np.uint32) for at in range(0, len(words), BLOCK)]
    windows = np.concatenate(blocks)
    known = np.unique(windows, return_counts=True)
    some = [slice(at, at + _AT_ONCE) for at in range(0, len(cut), _AT_ONCE)]
    ats = np.concatenate([_rarest(data, windows, known, starts[these], lengths[these]) for these in some])
    marks = windows[starts + ats] | keys.checks(words, starts, lengths) << np.uint64(WINDOW_BITS)
    made = {}
    for part, at, mark in zip(cut, ats.tolist(), marks.tolist(), strict=True):
        told = digest(secret, part)
        made[part] = (at, len(part), told, f"{keys.masked(mark, told, at):016x}")
    found = []
    for text in texts:
        at, length, told, masked = made[text.data[:LONGEST]]
        found.append(Needle(at, length, told, text.what, text.strict, text.group, masked))
    return found


def _rarest(data: bytes, windows: Windows, known: tuple[Windows, Places], starts: Places, lengths: Places) -> Places:
    """Where in each of some stretches, one behind the other in ``data``, its rarest window begins. ``known`` counts all
    windows. Of equally rare ones that which has most digits (they tell values from one another better than words do),
    then most distinct bytes, then the first."""
    begin, end = int(starts[0]), int(starts[-1] + lengths[-1]) - WINDOW + 1
    part = np.frombuffer(data, np.uint8)[begin : end + WINDOW - 1]
    counts = known[1][np.searchsorted(known[0], windows[begin:end])]
    eight = np.lib.stride_tricks.sliding_window_view(part, WINDOW)
    digits = ((eight >= ord("0")) & (eight <= ord("9"))).sum(axis=1)
    distinct = 1 + (np.diff(np.sort(eight, axis=1), axis=1) != 0).sum(axis=1)
    within = (np.arange(begin, begin + len(part)) - np.repeat(starts, lengths))[: len(counts)]
    # One number orders them: 4 bits for up to eight, 6 for a place within `LONGEST`.
    order = (((counts << 4 | WINDOW - digits) << 4 | WINDOW - distinct) << 6) | within
    order[within > np.repeat(lengths, lengths)[: len(counts)] - WINDOW] = np.iinfo(np.int64).max
    least: Places = np.minimum.reduceat(order, starts - begin) & (LONGEST - 1)
    return least
