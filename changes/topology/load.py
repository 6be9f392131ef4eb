"""Reading ``topics.yaml`` whole, with file and line for every mistake in it, not only the first."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import yaml
from pydantic import ValidationError

from changes.errors import Misconfigured
from changes.schema import TableSchema
from changes.target import Target
from changes.tier import DEFAULT_TIERS, Tier, seconds
from changes.topology.edges import edge_problems
from changes.topology.erase import erase_problems
from changes.topology.model import (
    CHUNK,
    AnalysisDecl,
    EmbedDecl,
    File,
    SinkDecl,
    TableDecl,
    has_user,
    is_chunked,
    place_of,
)
from changes.topology.quality import quality_problems

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One mistake; ``line`` counts from 1."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


@dataclass(frozen=True)
class Topology:
    """A checked ``topics.yaml``, and which of its sinks are left out where it is used."""

    file: str
    declared: File
    tiers: Mapping[str, Tier]
    lines: Mapping[Path, int] = field(repr=False)
    left_out: frozenset[str] = frozenset()

    @property
    def versions(self) -> tuple[str, ...]:
        return tuple(self.declared.versions)

    @property
    def sinks(self) -> tuple[str, ...]:
        """The sinks that something goes to, in the order of the file."""
        named = (sink.sink for table in self.declared.tables for sink in table.sinks)
        return tuple(dict.fromkeys(name for name in named if name not in self.left_out))

    def without(self, sinks: Collection[str]) -> "Topology":
        """The same, but nothing goes to these."""
        return replace(self, left_out=self.left_out | frozenset(sinks))

    def database(self, version: str) -> str:
        return self.declared.versions[version].database

    def prefix(self, version: str) -> str:
        """What the version's environment variables start with."""
        return self.declared.versions[version].env or f"{version.upper()}_"

    @property
    def tables(self) -> Mapping[str, TableDecl]:
        return {table.table: table for table in self.declared.tables}

    def topic(self, version: str, table: str) -> str:
        return f"{version}.{self.database(version)}.{table}"

    def derived_topic(self, version: str, table: str, enricher: str) -> str:
        """Where the results of a table's enricher are."""
        return f"{version}.enriched.{table}.{enricher}"

    def topic_of(self, target: Target) -> str:
        """Where what goes to a target comes from."""
        if target.of is None:
            return self.topic(target.version, target.table)
        return self.derived_topic(target.version, target.source, target.of)

    def targets(self, version: str) -> tuple[Target, ...]:
        """Every place that rows go to, in the order of the file; derived places are not among them."""
        return tuple(
            self._target(version, table, sink)
            for table in self.declared.tables
            for sink in table.sinks
            if sink.of is None and sink.sink not in self.left_out
        )

    def derived_targets(self, version: str) -> tuple[Target, ...]:
        """Every place that results of enrichers go to, in the order of the file.

        Their ``table`` is ``<table>.<enricher>``, the name under which the schema of such results is published.
        """
        return tuple(
            self._target(version, table, sink)
            for table in self.declared.tables
            for sink in table.sinks
            if sink.of is not None and sink.sink not in self.left_out
        )

    def every_target(self, version: str) -> tuple[Target, ...]:
        """Of rows, and of what is made of them."""
        return (*self.targets(version), *self.derived_targets(version))

    def _target(self, version: str, table: TableDecl, sink: SinkDecl) -> Target:
        return Target(
            version=version,
            database=self.database(version),
            table=table.table if sink.of is None else f"{table.table}.{sink.of}",
            key=(*table.key, CHUNK) if is_chunked(table, sink) else tuple(table.key),
            sink=sink.sink,
            tier=self.tiers[sink.tier],
            place=place_of(table, sink),
            keep=sink.keep,
            keep_for=None if sink.keep_for is None else round(seconds(sink.keep_for)),
            owns=sink.owns,
            user=table.user if has_user(table, sink) else None,
            hidden=frozenset(() if sink.personal == "allow" else table.columns.personal),
            only=None if sink.columns is None else frozenset(sink.columns),
            of=sink.of,
            edges=tuple(edge.edge for edge in sink.edges),
        )

    def enrichers(self, table: str) -> Mapping[str, EmbedDecl | AnalysisDecl]:
        """What is made of a table's rows, by name: all that is declared but what is for left-out sinks alone."""
        declared = self.tables[table]
        receivers: dict[str, set[str]] = {}
        for sink in declared.sinks:
            if sink.of is not None:
                receivers.setdefault(sink.of, set()).add(sink.sink)
        return {
            name: decl
            for name, decl in declared.enrich.items()
            if name not in receivers or receivers[name] - self.left_out
        }

    def line(self, *path: str | int) -> int:
        """The line of the declaration at ``path``, or of the nearest one around it."""
        for length in range(len(path), 0, -1):
            found = self.lines.get(tuple(path[:length]))
            if found is not None:
                return found
        return 1

    def problem(self, message: str, *path: str | int) -> Problem:
        return Problem(self.file, self.line(*path), message)

    def check_table(self, schema: TableSchema, key: tuple[str, ...]) -> list[Problem]:
        """What of a table's declaration does not fit the table that MySQL has.

        ``schema`` holds every column of it; ``key`` is its primary key, empty where it has none.
        """
        index, table = next((i, t) for i, t in enumerate(self.declared.tables) if t.table == schema.table)
        here: Path = ("tables", index)
        found: list[Problem] = []
        if not key:
            found.append(
                self.problem(
                    f"table `{table.table}` has no primary key, so its rows cannot be told apart: "
                    f"ALTER TABLE `{table.table}` ADD PRIMARY KEY (…)",
                    *here,
                )
            )
        elif tuple(table.key) != key:
            found.append(
                self.problem(
                    f"the primary key of `{table.table}` is ({', '.join(key)}), not ({', '.join(table.key)}): declare "
                    f"`key: [{', '.join(key)}]`, or ALTER TABLE `{table.table}` DROP PRIMARY KEY, "
                    f"ADD PRIMARY KEY ({', '.join(table.key)})",
                    *here,
                    "key",
                )
            )
        known = {column.name for column in schema.columns}
        found += [
            self.problem(f"table `{table.table}` has no column `{name}`", *here, *path)
            for path, name in _named_columns(table)
            if name not in known
        ]
        return found


def load(text: str, file: str, sinks: Mapping[str, Callable[[Target], None]]) -> Topology:
    """The topology declared in ``text``.

    ``sinks`` are the known sinks and each one's check of a target. Raises `Misconfigured` whose message lists
    every mistake, one a line, as ``file:line: what is wrong``.
    """
    lines: dict[Path, int] = {}
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = {} if root is None else _plain(root, (), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise Misconfigured(f"{file}:{mark.line + 1 if mark else 1}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise Misconfigured(f"{file}:1: {error}") from error
    try:
        declared = File.model_validate(data)
    except ValidationError as error:
        raise Misconfigured("\n".join(str(p) for p in _from_pydantic(error, file, lines))) from error
    tiers = dict(DEFAULT_TIERS)
    for name, tier in declared.tiers.items():
        tiers[name] = Tier(name, seconds(tier.flush), tier.rows, seconds(tier.fresh))
    topology = Topology(file, declared, tiers, lines)
    problems = list(_semantic(topology, sinks))
    if problems:
        raise Misconfigured("\n".join(str(problem) for problem in problems))
    return topology


def _plain(node: yaml.Node, path: Path, lines: dict[Path, int]) -> Any:
    """The node's value, with the line of every part noted."""
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = _scalar(key_node)
            if key in result:
                raise yaml.MarkedYAMLError(problem=f"`{key}` is declared twice here", problem_mark=key_node.start_mark)
            result[key] = _plain(value_node, (*path, key), lines)
            lines[*path, key] = key_node.start_mark.line + 1
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, index), lines) for index, item in enumerate(node.value)]
    return _scalar(node)


def _scalar(node: yaml.Node) -> Any:
    if not isinstance(node, yaml.ScalarNode):
        raise yaml.MarkedYAMLError(problem="a key must be a plain word", problem_mark=node.start_mark)
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node, deep=True)
    finally:
        loader.dispose()


def _from_pydantic(error: ValidationError, file: str, lines: Mapping[Path, int]) -> Iterator[Problem]:
    for item in error.errors():
        path = item["loc"]
        line = next((lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in lines), 1)
        where = ".".join(str(part) for part in path)
        message = item["msg"]
        if item["type"] == "extra_forbidden":
            message = f"`{path[-1]}` is not known here"
            where = ".".join(str(part) for part in path[:-1])
        yield Problem(file, line, f"{message} (in {where})" if where else message)


def _semantic(topology: Topology, sinks: Mapping[str, Callable[[Target], None]]) -> Iterator[Problem]:
    seen: set[str] = set()
    places: dict[tuple[str, str], str] = {}
    keys = {table.table: table.key for table in topology.declared.tables}
    for index, table in enumerate(topology.declared.tables):
        here: Path = ("tables", index)
        if table.table in seen:
            yield topology.problem(f"table `{table.table}` is declared twice", *here, "table")
        seen.add(table.table)
        yield from _check_columns(topology, table, here)
        for number, sink in enumerate(table.sinks):
            yield from _check_sink(topology, table, sink, sinks, (*here, "sinks", number), places)
            for path, message in edge_problems(topology.declared, table, sink):
                yield topology.problem(message, *here, "sinks", number, "edges", *path)
        for path, message in quality_problems(table.quality, keys):
            yield topology.problem(message, *here, "quality", *path)
        for path, message in erase_problems(table.erase, table.user, table.key):
            yield topology.problem(message, *here, "erase", *path)


def _check_columns(topology: Topology, table: TableDecl, here: Path) -> Iterator[Problem]:
    dropped = set(table.columns.drop)
    for path, name in _named_columns(table):
        if name in dropped and path[:2] != ("columns", "drop"):
            yield topology.problem(
                f"column `{name}` of `{table.table}` is dropped at capture and needed here", *here, *path
            )


def _check_sink(
    topology: Topology,
    table: TableDecl,
    sink: SinkDecl,
    sinks: Mapping[str, Callable[[Target], None]],
    here: Path,
    places: dict[tuple[str, str], str],
) -> Iterator[Problem]:
    check = sinks.get(sink.sink)
    if check is None:
        yield topology.problem(f"sink `{sink.sink}` is not known: there are {', '.join(sorted(sinks))}", *here, "sink")
    if sink.tier not in topology.tiers:
        known = ", ".join(topology.tiers)
        yield topology.problem(f"tier `{sink.tier}` is not known: there are {known}", *here, "tier")
    whole = has_user(table, sink)
    if sink.of is not None and sink.of not in table.enrich:
        yield topology.problem(f"table `{table.table}` has no enricher `{sink.of}`", *here, "of")
    elif not whole:
        yield topology.problem(
            f"what `{sink.of}` makes of `{table.table}` belongs to the row's `{table.user}`, which it does not hold:"
            f" add `{table.user}` to `carry` of the enricher",
            *here,
            "of",
        )
    if sink.keep_for is not None and sink.keep != "cache":
        yield topology.problem("`keep_for` needs `keep: cache`: a mirror's rows have no lifetime", *here, "keep_for")
    place = place_of(table, sink)
    if (sink.sink, place) in places:
        other = places[sink.sink, place]
        yield topology.problem(f"`{place}` in {sink.sink} is already the place of table `{other}`", *here)
    places[sink.sink, place] = table.table
    if check is not None and sink.tier in topology.tiers and whole:
        try:
            check(topology._target(topology.versions[0], table, sink))
        except Misconfigured as error:
            yield topology.problem(str(error), *here)


def _named_columns(table: TableDecl) -> Iterator[tuple[Path, str]]:
    """Every column of the table that a declaration names, and where; what an enricher makes is no column of it."""
    for field_name, names in (("drop", table.columns.drop), ("personal", table.columns.personal)):
        yield from ((("columns", field_name, i), name) for i, name in enumerate(names))
    yield from ((("key", i), name) for i, name in enumerate(table.key))
    if table.user is not None:
        yield ("user",), table.user
    if table.erase is not None and table.erase.by is not None:
        yield ("erase", "by"), table.erase.by
    for enricher, declared in table.enrich.items():
        yield from ((("enrich", enricher), name) for name in [*declared.reads, *declared.carry])
    for number, sink in enumerate(table.sinks):
        if sink.of is None:
            yield from ((("sinks", number, "columns", i), name) for i, name in enumerate(sink.columns or ()))
            for i, edge in enumerate(sink.edges):
                yield from ((("sinks", number, "edges", i, field), name) for field, name in edge.columns)
