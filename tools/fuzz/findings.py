"""Streams that a reader once took wrongly, kept so that it never does again."""

from collections.abc import Iterator
from pathlib import Path

from tools.fuzz.seeds import Seed

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "streams" / "findings"


def keep(path: Path, seed: Seed, events: list[bytes], chunks: list[bytes]) -> None:
    """Write down a stream: what it is read with, its events, and the bytes as they came."""
    path.parent.mkdir(parents=True, exist_ok=True)
    of = Seed(seed.database, seed.table, seed.mariadb, seed.collations, events)
    path.write_text("\n".join([*of.lines(), *(f"chunk {chunk.hex()}" for chunk in chunks)]) + "\n")


def kept(folder: Path = FOLDER) -> Iterator[tuple[str, Seed, list[bytes]]]:
    """Each one's name, what it is read with, and the bytes as they came."""
    for path in sorted(folder.glob("*.txt")):
        lines = path.read_text().splitlines()
        chunks = [bytes.fromhex(line[6:]) for line in lines if line.startswith("chunk ")]
        yield path.stem, Seed.read(lines), chunks
