"""Looking through SQLite files for the values of many persons: MB/s, and whether all that is there is found.

``python -m bench.needles [--persons N] [--values N] [--mb N] [--seed N]``: one JSON object on stdout. No server, one
core. The persons' texts and those of everybody else are made of the same few hundred words, those of the example's
sentences, so that any eight bytes of one may stand in many others; every row of theirs has a counter of its own in it.
A tenth of the files is looked through first, as `erase` looks through MySQL: what others hold too is not looked for
behind it. Every hundredth needle is then planted somewhere. ``right``: all of these are found, and fifty of them and
fifty others are found exactly where `bytes.find` finds them too.
"""

import argparse
import json
import random
import sqlite3
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from audit.erasure.values import Person
from audit.search.files import look_through
from audit.search.found import Found
from audit.search.needle import Text, needles_of
from audit.search.needles import Needles
from changes.canonical import Value
from changes.schema import Column, TableSchema, kind_of
from tailrace.example import words
from tailrace.example.values import octets, pick

SECRET = b"what the benchmark looks for"
TYPES = {
    "id": "bigint",
    "email": "varchar(255)",
    "content": "text",
    "answer": "text",
    "notes": "json",
    "avatar": "blob",
}
SCHEMA = TableSchema(
    "shop", "notes", tuple(Column(name, kind_of(type_), type_) for name, type_ in TYPES.items()), ("id",)
)
PERSONAL = ["email", "avatar"]
VOCABULARY = sorted(
    {
        word
        for sentences in (words.LIFE, words.QUESTIONS, words.ANSWERS, words.DUTIES, words.WANTED, words.JOB_TITLES)
        for sentence in sentences
        for word in sentence.split()
    }
)
ROWS_A_FILE = 200
PLANTED = 100
"""One of so many."""
CHECKED = 50
"""`bytes.find` takes a tenth of a second for each."""


def row(rng: random.Random, number: int) -> dict[str, Value]:
    def prose(most: int) -> str:
        return " ".join(rng.choices(VOCABULARY, k=3 + int(rng.random() * most)))

    return {
        "id": number,
        "email": f"{pick(rng, words.HANDLES)}+{number}@{pick(rng, words.MAIL_HOSTS)}",
        "content": f"{prose(60)} {number} {prose(20)}",
        "answer": pick(rng, words.ANSWERS) + " " + prose(30),
        "notes": json.dumps({"summary": prose(12), "of": number}, ensure_ascii=False),
        "avatar": octets(rng, 24 + int(rng.random() * 100)) if rng.random() < 0.15 else None,
    }


def gathered(rng: random.Random, values: int) -> list[Text]:
    """A person's texts, of as many rows as it takes; some of their texts are others' too."""
    person, number = Person(values), int(rng.random() * (1 << 40))
    while person.left_out == 0:
        number += 1
        person.learn("notes", SCHEMA, row(rng, number), personal=PERSONAL)
    return person.texts


def written(folder: Path, rng: random.Random, size: int) -> Iterator[Path]:
    """Files of others' rows, of ``size`` bytes in all."""
    total = number = 0
    while total < size:
        path = folder / f"{number}.db"
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(f"CREATE TABLE notes ({', '.join(TYPES)})")
            rows = [[*row(rng, number * ROWS_A_FILE + one).values()] for one in range(ROWS_A_FILE)]
            connection.executemany("INSERT INTO notes VALUES (?, ?, ?, ?, ?, ?)", rows)
        number += 1
        total += path.stat().st_size
        yield path


def measured(persons: int, values: int, size: int, seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    texts = [text for _ in range(persons) for text in gathered(rng, values)]
    began = time.process_time()
    made = needles_of(SECRET, texts)
    told = {"persons": persons, "needles": len(made), "hashing_s": time.process_time() - began}
    with tempfile.TemporaryDirectory(prefix="tailrace-needles-") as name:
        folder = Path(name)
        paths = [*written(folder, rng, size)]
        began = time.process_time()
        needles, shared = Needles(SECRET, made), set[int]()

        def sift(_: str, index: int) -> bool:
            needles.leave_out([index])
            shared.add(index)
            return False

        found = Found("first", needles, sift)
        for path in paths[::10]:
            found.look(path.name, path.read_bytes())
        found.end()
        told |= {"first_mb": found.size / 1e6, "first_s": time.process_time() - began}
        planted = {index for index in range(0, len(made), PLANTED) if index not in shared}
        for index in planted:
            with rng.choice(paths).open("ab") as file:
                file.write(texts[index].data)
        began = time.process_time()
        found = look_through("all", [folder], needles)
        seconds = time.process_time() - began
        looked_for = [index for index in range(len(made)) if index not in shared]
        checked = {*rng.sample(sorted(planted), min(CHECKED, len(planted))), *rng.sample(looked_for, CHECKED)}
        right = {(path.name, index) for path in paths for index in within(path.read_bytes(), texts, checked)}
    return told | {
        "shared": len(shared),
        "mb": found.size / 1e6,
        "seconds": seconds,
        "mb_a_second": found.size / 1e6 / seconds,
        "found": len(found.hits),
        "planted": len(planted),
        "right": planted <= {index for _, index in found.hits}
        and {hit for hit in found.hits if hit[1] in checked} == right,
    }


def within(data: bytes, texts: Sequence[Text], indexes: Collection[int]) -> Iterator[int]:
    return (index for index in indexes if data.find(texts[index].data) >= 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--persons", type=int, default=50)
    parser.add_argument("--values", type=int, default=2000)
    parser.add_argument("--mb", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print(json.dumps(measured(arguments.persons, arguments.values, arguments.mb * 1_000_000, arguments.seed), indent=2))


if __name__ == "__main__":
    main()
