"""The process that reads broken streams: it may die of one, so it says which it is at before it begins."""

import argparse
import json
import mmap
import random
import resource
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tools.fuzz import mutate
from tools.fuzz.reading import World, is_compressed, wrong
from tools.fuzz.seeds import Seed, all_seeds

ADDRESSES = 3 << 30
"""Bytes of address space: what asks for more dies of it."""
MOST_MEMORY = 600 << 20
"""Bytes in memory that no stream of a few hundred kilobytes may need."""
PROGRESS = struct.Struct("<qq")
"""The stream that is read, and how many were."""


@dataclass(frozen=True)
class Made:
    """A broken stream: the recorded one that it comes of, its events, and the bytes as they come."""

    seed: Seed
    events: list[bytes]
    chunks: list[bytes]


def make(recorded: list[Seed], series: int, number: int) -> Made:
    """Stream ``number`` of a series: always the same one."""
    rng = random.Random(f"{series}:{number}")
    seed = rng.choice(recorded)
    events = mutate.stream(rng, seed.events)
    return Made(seed, events, mutate.sent(rng, events))


def fault(made: Made, readers: tuple[str, ...]) -> str:
    """What is wrong with how ``readers`` took it, empty where nothing is."""
    try:
        found = wrong(World(made.seed), readers, made.chunks, compressed=is_compressed(made.events))
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is what was looked for
        return f"{type(error).__name__}: {error}"
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10 > MOST_MEMORY:
        return f"more than {MOST_MEMORY >> 20} MB in memory"
    return found


def main() -> None:
    """Prints a line of JSON for each fault: {"number", "fault"}."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--readers", required=True)
    parser.add_argument("--series", type=int, required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--progress", type=Path, required=True)
    asked = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    recorded, deadline = all_seeds(), time.monotonic() + asked.seconds
    with asked.progress.open("r+b") as file, mmap.mmap(file.fileno(), PROGRESS.size) as progress:
        number = asked.first
        while time.monotonic() < deadline:
            progress[:] = PROGRESS.pack(number, number - asked.first)
            found = fault(make(recorded, asked.series, number), tuple(asked.readers.split(",")))
            if found:
                print(json.dumps({"number": number, "fault": found}), flush=True)
            number += 1
        progress[:] = PROGRESS.pack(number, number - asked.first)


if __name__ == "__main__":
    sys.exit(main())
