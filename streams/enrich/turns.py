"""Turns: what is worked on in any order is acknowledged in the order in which it came. Pure.

Faust commits the end of the first run of offsets that are acknowledged, and does not see that an earlier one is still
under way where it has committed nothing yet, or where only one is missing (its `Consumer._new_offset`): a worker killed
then would lose that one. Acknowledged in order, there is never a hole before that run.
"""

from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(eq=False)
class Turn(Generic[T]):
    """One item's place in its queue; ``left`` is in how many parts it is still to be worked on."""

    queue: Hashable
    generation: int
    item: T
    left: int


@dataclass
class Turns(Generic[T]):
    """The turns of several queues; a queue that begins a new generation forgets what the one before has not done."""

    _waiting: dict[Hashable, deque[Turn[T]]] = field(default_factory=dict)

    def take(self, queue: Hashable, generation: int, item: T, parts: int) -> Turn[T]:
        """The next turn of ``queue``, done after ``parts`` calls of `done`."""
        waiting = self._waiting.get(queue)
        if waiting is None or (waiting and waiting[-1].generation != generation):
            waiting = self._waiting[queue] = deque()
        turn = Turn(queue, generation, item, parts)
        waiting.append(turn)
        return turn

    def done(self, turn: Turn[T]) -> Iterator[T]:
        """One part is done, or none were to be: the items that are through now, in order. A forgotten turn ends
        nothing."""
        turn.left -= 1
        waiting = self._waiting.get(turn.queue, deque())
        if not waiting or waiting[0].generation != turn.generation:
            return
        while waiting and waiting[0].left <= 0:
            yield waiting.popleft().item
