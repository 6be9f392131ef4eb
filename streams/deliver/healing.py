"""Dead letters whose row the store has taken since: its next good change was stored, and the letter is history."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from changes.errors import Misconfigured, Rejected, Transient
from changes.key import Key, key_of
from changes.schema import TableSchema
from changes.target import Target
from changes.topology import Topology
from sinks.contract import Sink
from sinks.registry import SPECS
from streams.deliver.letters import Letter
from streams.deliver.schemas import SchemaBook
from streams.kafka import KafkaUrl

_UNDECIDED = ("open", "retried")


async def with_healed(
    topology: Topology, version: str, endpoints: Mapping[str, str], letters: Sequence[Letter]
) -> tuple[list[Letter], dict[str, str]]:
    """The letters, those healed marked so, and why some stores could not be asked, by sink.

    A letter is healed where the store holds its row at the letter's position or a newer one; a refused delete also
    where it holds no such row.
    """
    book = SchemaBook(KafkaUrl.parse(endpoints["kafka"]), version)
    await asyncio.to_thread(book.refresh)
    targets = {(target.sink, target.name): target for target in topology.every_target(version)}
    asked: dict[Target, list[Letter]] = {}
    for letter in letters:
        target = targets.get((letter.sink, letter.target))
        if target is not None and letter.state in _UNDECIDED and book.knows(target.table, letter.schema):
            asked.setdefault(target, []).append(letter)
    healed: set[str] = set()
    away: dict[str, str] = {}
    for sink in dict.fromkeys(target.sink for target in asked):
        store = SPECS[sink].build(endpoints[SPECS[sink].endpoint])
        try:
            for target, some in asked.items():
                if target.sink == sink:
                    healed |= await _healed(store, target, book, some)
        except (Transient, Misconfigured) as error:
            away[sink] = str(error)
        finally:
            await store.close()
    return [replace(letter, state="healed") if letter.name in healed else letter for letter in letters], away


async def _healed(store: Sink, target: Target, book: SchemaBook, letters: Sequence[Letter]) -> set[str]:
    schema = book.latest()[target.table]
    await store.open([(target, schema)])
    places = dict(_places(target, book, letters))
    found = await store.read(target, schema, list(places.values()))
    held = dict(zip(places, found, strict=True))
    healed = set()
    for letter in letters:
        if letter.name not in held:
            continue
        row = held[letter.name]
        if row is None:
            if letter.deleted:
                healed.add(letter.name)
        elif (row.generation, row.position) >= (letter.generation, letter.position):
            healed.add(letter.name)
    return healed


def _places(target: Target, book: SchemaBook, letters: Iterable[Letter]) -> Iterable[tuple[str, tuple[str, Key]]]:
    """Where each letter's row would be; those that say of no place are left out."""
    for letter in letters:
        try:
            schema: TableSchema = book.of(target.table, letter.schema)
            yield letter.name, (SPECS[target.sink].place_of(target, letter.row), key_of(schema, letter.row))
        except (KeyError, ValueError, Rejected):
            continue
