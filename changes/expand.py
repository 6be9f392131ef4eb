"""From one change to the records that its targets receive, and from many records to the last of each row.

A change whose row moves to another place (another user's file, another Redis key) is two records: a delete where
it was and a write where it goes, both at the change's generation and position. Collapsing is by (target, place, key),
so that a row which moved twice within a batch leaves nothing behind on the way.
"""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from changes.canonical import Value
from changes.envelope import Delivered, Headers
from changes.errors import Rejected
from changes.key import Key, key_of
from changes.record import Record
from changes.schema import TableSchema
from changes.target import Target

Placement = Callable[[Target, Mapping[str, Value]], str]
"""A sink's pure rule for where a row goes; ``""`` where the target is one table."""


def expand(
    change: Delivered,
    headers: Headers,
    schema: TableSchema,
    target: Target,
    placement: Placement,
) -> list[Record]:
    """The records of one change for one target, in the order in which they must be applied.

    None of a delete that tells no more than its key, where that leads to no place: a request named a row that is not
    there, and says no more of it. Raises `Rejected` where a row has no place.
    """
    before, after = change.before, change.after
    records: list[Record] = []
    if after is None:
        if before is not None:
            try:
                records.append(_delete(target, headers, schema, before, placement(target, before)))
            except Rejected:
                if any(value is not None for name, value in before.items() if name not in schema.key):
                    raise
        return records
    place = placement(target, after)
    if before is not None:
        old_place = placement(target, before)
        if old_place != place:
            records.append(_delete(target, headers, schema, before, old_place))
    row = {column.name: after[column.name] for column in target.columns(schema)}
    records.append(
        Record(
            target=target,
            key=key_of(schema, after),
            position=headers.position,
            row=row,
            hash=headers.hash,
            schema=schema,
            place=place,
            generation=headers.generation,
            over=headers.over,
        )
    )
    return records


def _delete(target: Target, headers: Headers, schema: TableSchema, row: Mapping[str, Value], place: str) -> Record:
    return Record(
        target=target,
        key=key_of(schema, row),
        position=headers.position,
        row=None,
        hash=0,
        schema=schema,
        place=place,
        generation=headers.generation,
        over=headers.over,
    )


def collapse(records: Iterable[Record]) -> list[Record]:
    """The record with the greatest (generation, position) of each (target, place, key).

    The later one where two are equal; the survivors keep the order in which they stood, and the position that one
    before them was to be written over.
    """
    last: dict[tuple[str, str, Key], Record] = {}
    for record in records:
        identity = (record.target.name, record.place, record.key)
        kept = last.get(identity)
        if kept is None or kept.order <= record.order:
            last.pop(identity, None)
            over = kept.over if kept is not None and record.over < 0 else record.over
            last[identity] = record if over == record.over else msgspec.structs.replace(record, over=over)
    return list(last.values())
