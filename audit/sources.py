"""What a look needs of MySQL and the stream; `streams.marks`, `streams.follow` and `streams.view` are it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from changes.canonical import Value
from changes.progress import Offsets
from changes.schema import TableSchema
from streams.follow import Span
from streams.marks import Mark
from streams.watch import LaneId


class Keyed(Protocol):
    """A record of a change topic, as far as a look reads it."""

    def key(self) -> bytes | None: ...


class Marking(Protocol):
    def newest(self, deadline: float) -> Mark: ...
    def behind_binlog(self, file: str, offset: int, deadline: float) -> Mark | None: ...
    def passed(self, lane: LaneId, mark: Mark, deadline: float) -> int: ...


class Following(Protocol):
    def start(self, ends: Offsets) -> None: ...
    def drain(self) -> Iterator[Keyed]: ...
    @property
    def span(self) -> Span: ...


class Viewed(Protocol):
    @property
    def schema(self) -> TableSchema: ...
    @property
    def file(self) -> str: ...
    @property
    def offset(self) -> int: ...
    def rows(self) -> Iterator[dict[str, Value]]: ...
    def rows_by(self, keys: Sequence[Sequence[Value]]) -> Iterator[dict[str, Value]]: ...


Opening = Callable[[int], AbstractContextManager[Viewed]]
"""Opens a view that holds at least so many transactions."""
