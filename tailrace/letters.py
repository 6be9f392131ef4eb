"""Which rows a dead letter is about, and what to ask of capture so that they are told anew. Pure."""

from collections.abc import Iterable

from audit.compare import plain
from audit.expected import placing_columns
from changes.progress import Asked, KeyValue
from changes.topology import Topology
from changes.topology.model import CHUNK
from streams.deliver.letters import Letter


def table_of(topology: Topology, version: str, letter: Letter) -> tuple[str, str]:
    """The table whose rows tell the letter's row anew, and the enricher that makes it of them; empty for none."""
    for table in topology.declared.tables:
        if topology.topic(version, table.table) == letter.topic:
            return table.table, ""
        for enricher in table.enrich:
            if topology.derived_topic(version, table.table, enricher) == letter.topic:
                return table.table, enricher
    return "", ""


def asked_for(
    topology: Topology, version: str, letters: Iterable[Letter]
) -> tuple[dict[tuple[str, str], list[Asked]], list[Letter]]:
    """What to ask capture for, by table and enricher (empty where it is about rows), each row once; and the letters
    that name no row."""
    asked: dict[tuple[str, str], dict[tuple[KeyValue, ...], Asked]] = {}
    without: list[Letter] = []
    for letter in letters:
        table, enricher = table_of(topology, version, letter)
        key = topology.tables[table].key if table else []
        if not table or any(name not in letter.key for name in key):
            without.append(letter)
            continue
        targets = [one for one in topology.every_target(version) if one.source == table and (one.of or "") == enricher]
        hint: dict[str, KeyValue] = {
            name: plain(letter.row[name])
            for name in sorted(placing_columns(targets) - {*key, CHUNK})
            if letter.row.get(name) is not None
        }
        values = tuple(letter.key[name] for name in key)
        chunk = letter.key.get(CHUNK, -1) if enricher else -1
        rows = asked.setdefault((table, enricher), {})
        before = rows.get(values)
        highest = max(int(chunk or 0), -1 if before is None else before.chunk)
        rows[values] = Asked([*values], hint, chunk=highest)
    return {name: [*rows.values()] for name, rows in asked.items()}, without
