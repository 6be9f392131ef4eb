"""Recorded streams: what a reader must be told, and a real server's events."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "streams" / "seeds"


@dataclass
class Seed:
    """One stream. ``collations`` as `streams.binlog.charsets.Collations` takes them."""

    database: str = ""
    table: str = ""
    mariadb: bool = False
    collations: list[tuple[int, str, int]] = field(default_factory=list)
    events: list[bytes] = field(default_factory=list)

    @classmethod
    def read(cls, lines: Iterable[str]) -> "Seed":
        seed = cls()
        for line in lines:
            word, _, rest = line.rstrip("\n").partition(" ")
            if word == "event":
                seed.events.append(bytes.fromhex(rest))
            elif word == "collation":
                number, name, width = rest.split()
                seed.collations.append((int(number), name, int(width)))
            elif word == "table":
                seed.database, seed.table = rest.split(".")
            elif word == "mariadb":
                seed.mariadb = True
        return seed

    def lines(self) -> Iterable[str]:
        yield f"table {self.database}.{self.table}"
        if self.mariadb:
            yield "mariadb"
        yield from (f"collation {number} {name} {width}" for number, name, width in self.collations)
        yield from (f"event {data.hex()}" for data in self.events)


def all_seeds() -> list[Seed]:
    """In the order of their files' names."""
    return [Seed.read(path.read_text().splitlines()) for path in sorted(FOLDER.glob("*.txt"))]
