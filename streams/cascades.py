"""Foreign keys by which the engine changes rows of captured tables, where no row event tells of it.

Such a key is refused, or where its table is declared ``cascades: emulate`` followed from the parent's side: behind a
change of the parent that the key acts on, the child is filled anew and swept. The parent must be captured for that.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from changes.topology import Topology
from streams.mysql import Connection

_ACTING = {"CASCADE", "SET NULL", "SET DEFAULT"}
"""Rules of a foreign key by which the engine changes rows; the others only refuse."""


@dataclass(frozen=True)
class Acting:
    """One foreign key of ``table`` that acts on ``parent``'s changes; ``columns`` pair its own with the parent's."""

    table: str
    name: str
    on_delete: str
    on_update: str
    schema: str
    parent: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Followers:
    """The captured tables that may change in secret with a parent's rows: where one is deleted, where its key changes,
    and where it changes at all."""

    deletes: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    updates: frozenset[str] = frozenset()

    def of(self, key_before: int | None, key_after: int | None) -> frozenset[str]:
        """Those that one row's change may have changed: the hashes of its key, ``None`` where there is no row."""
        if key_before is None:
            return frozenset()
        if key_after is None:
            return self.deletes
        return self.updates if key_before == key_after else self.updates | self.keys


def acting_keys(connection: Connection, topology: Topology, version: str) -> list[Acting]:
    """The foreign keys of captured tables that act."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.TABLE_NAME, r.CONSTRAINT_NAME, r.DELETE_RULE, r.UPDATE_RULE, r.UNIQUE_CONSTRAINT_SCHEMA,"
            " r.REFERENCED_TABLE_NAME, k.COLUMN_NAME, k.REFERENCED_COLUMN_NAME"
            " FROM information_schema.REFERENTIAL_CONSTRAINTS r JOIN information_schema.KEY_COLUMN_USAGE k"
            " ON k.CONSTRAINT_SCHEMA = r.CONSTRAINT_SCHEMA AND k.CONSTRAINT_NAME = r.CONSTRAINT_NAME"
            " AND k.TABLE_NAME = r.TABLE_NAME"
            " WHERE r.CONSTRAINT_SCHEMA = %s ORDER BY r.TABLE_NAME, r.CONSTRAINT_NAME, k.ORDINAL_POSITION",
            (topology.database(version),),
        )
        rows = cursor.fetchall()
    columns: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for *constraint, own, other in rows:
        columns.setdefault(tuple(constraint), []).append((own, other))
    return [
        Acting(table, name, on_delete, on_update, schema, parent, tuple(pairs))
        for (table, name, on_delete, on_update, schema, parent), pairs in columns.items()
        if table in topology.tables and {on_delete, on_update} & _ACTING
    ]


def problems(keys: Iterable[Acting], topology: Topology, version: str) -> list[str]:
    """What is wrong with foreign keys that act in secret, each with what mends it. Pure."""
    return [text for key in keys if (text := _problem(key, topology, version))]


def _problem(key: Acting, topology: Topology, version: str) -> str:
    emulated = topology.tables[key.table].cascades == "emulate"
    captured = key.schema == topology.database(version) and key.parent in topology.tables
    if emulated and captured:
        return ""
    own, other = (", ".join(f"`{column}`" for column in names) for names in zip(*key.columns, strict=True))
    why = (
        f" and its parent `{key.schema}`.`{key.parent}` is not captured, as `cascades: emulate` needs: declare it, or"
        if emulated
        else ":"
    )
    return (
        f"foreign key `{key.name}` of `{key.table}` changes its rows without a row event (ON DELETE {key.on_delete}, "
        f"ON UPDATE {key.on_update}){why} ALTER TABLE `{key.table}` DROP FOREIGN KEY `{key.name}`; "
        f"ALTER TABLE `{key.table}` ADD CONSTRAINT `{key.name}` FOREIGN KEY ({own})"
        f" REFERENCES `{key.schema}`.`{key.parent}` ({other}), so that whoever changes the parent changes these rows by"
        " statements of their own; or declare `cascades: emulate`; or upgrade to MySQL 9.6"
    )


def followers(keys: Iterable[Acting], topology: Topology) -> Mapping[str, Followers]:
    """By parent. Of a child that changes in secret no event tells, so its own children follow with it. Pure."""
    keys = list(keys)
    children: dict[str, set[str]] = {}
    for key in keys:
        children.setdefault(key.parent, set()).add(key.table)

    def reached(table: str) -> frozenset[str]:
        found, waiting = {table}, [table]
        while waiting:
            new = children.get(waiting.pop(), set()) - found
            found |= new
            waiting += new
        return frozenset(found)

    result: dict[str, Followers] = {}
    for key in keys:
        before = result.get(key.parent, Followers())
        all_ = reached(key.table)
        by_key = {column for _, column in key.columns} == {*topology.tables[key.parent].key}
        updates = key.on_update in _ACTING
        result[key.parent] = Followers(
            before.deletes | all_ if key.on_delete in _ACTING else before.deletes,
            before.keys | all_ if updates and by_key else before.keys,
            before.updates | all_ if updates and not by_key else before.updates,
        )
    return result
