"""Cutting what is too long for the model, and putting the pieces' vectors together. Pure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

MOST_CHUNKS = 64
"""What is beyond is not read: 64 windows are some fifty pages, and a second and a half of work."""

MOST_CHARACTERS = 400_000
"""Read of a text before it is cut into tokens: more than `MOST_CHUNKS` hold of any prose."""

Vector = npt.NDArray[np.float64]


def chunks(tokens: Sequence[int], window: int, first: int, last: int) -> list[list[int]]:
    """``tokens`` in pieces of at most ``window``, each between the marks ``first`` and ``last``, which count too."""
    room = window - 2
    starts = range(0, len(tokens), room)[:MOST_CHUNKS]
    return [[first, *tokens[start : start + room], last] for start in starts]


def pooled(hidden: npt.NDArray[np.float32]) -> Vector:
    """The mean of a piece's hidden states (tokens × width), of length 1: the published model's pooling."""
    return unit(hidden.mean(axis=0, dtype=np.float64))


def joined(pieces: Sequence[tuple[Vector, int]]) -> Vector:
    """One vector of length 1 for a text in pieces: their vectors' mean, each weighted by its number of tokens."""
    if len(pieces) == 1:
        return pieces[0][0]
    total = np.zeros_like(pieces[0][0])
    for vector, tokens in pieces:
        total += vector * tokens
    return unit(total)


def unit(vector: Vector) -> Vector:
    length: np.float64 = np.sqrt(np.square(vector).sum())
    return vector / length


def numbers(vector: Vector) -> list[float]:
    """The vector's numbers in single precision, as the shortest doubles that are certain to become them again.

    Nine digits suffice for that (IEEE 754, 5.12.2), and take half the room of seventeen in every message.
    """
    return [float(f"{number:.9g}") + 0.0 for number in vector.astype(np.float32).tolist()]
