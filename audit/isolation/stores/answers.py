"""What stores answer, and how a search counts what it sees. No I/O."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Met = Literal["inside", "barred", "refused", "unknown"]


@dataclass(frozen=True)
class Answer:
    """``inside``: let in. ``barred``: known, but not allowed there. ``refused``: not known. ``unknown``: neither was
    said, the server being away or talking of something else. ``said`` in its own words."""

    met: Met
    said: str = ""


INSIDE = Answer("inside")


@dataclass(frozen=True)
class Hit:
    """A token, and where it was seen (a table, a collection, a key, a topic, a file); ``times`` there."""

    token: str
    where: str
    times: int = 1


@dataclass(frozen=True)
class Found:
    """``looked_at`` counts rows, documents, keys, nodes, records; ``unread`` names what could not be read, and why."""

    looked_at: int = 0
    hits: tuple[Hit, ...] = ()
    unread: tuple[str, ...] = ()


class Seeing(Protocol):
    """Whoever is shown all that a store holds."""

    def see(self, where: str, *seen: object) -> None:
        """One row, document, key or record, as its parts: texts, bytes, or containers of these."""

    def leave(self, what: str) -> None:
        """Something cannot be read: what, and why."""


class Search:
    """Counts what is shown to it. ``tokens`` have a beginning in common: most of what is seen costs one look."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tuple(tokens)
        self.needle = common(tokens)
        self._bytes = self.needle.encode()
        self._looked = 0
        self._hits: dict[tuple[str, str], int] = {}
        self._unread: list[str] = []

    def count(self, number: int) -> None:
        """So many were looked at elsewhere, by the store itself."""
        self._looked += number

    def see(self, where: str, *seen: object, counted: bool = True) -> None:
        """One row, document, key or record, as its parts: texts, bytes, or containers of these."""
        self._looked += counted
        for part in seen:
            for token in self._in(part):
                self._hits[token, where] = self._hits.get((token, where), 0) + 1

    def leave(self, what: str) -> None:
        """Something cannot be read: what, and why."""
        self._unread.append(what)

    def found(self) -> Found:
        hits = tuple(Hit(token, where, times) for (token, where), times in self._hits.items())
        return Found(self._looked, hits, tuple(self._unread))

    def _in(self, part: object) -> Iterable[str]:
        if isinstance(part, bytes | bytearray | memoryview):
            data = bytes(part)
            return [token for token in self._tokens if token.encode() in data] if self._bytes in data else ()
        if isinstance(part, str):
            return [token for token in self._tokens if token in part] if self.needle in part else ()
        if isinstance(part, dict):
            return {token for key, value in part.items() for one in (key, value) for token in self._in(one)}
        if isinstance(part, list | tuple | set | frozenset):
            return {token for one in part for token in self._in(one)}
        return () if part is None or isinstance(part, int | float) else self._in(str(part))


def common(tokens: Sequence[str]) -> str:
    """The longest beginning that all have."""
    first, last = min(tokens), max(tokens)
    length = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[:length]
