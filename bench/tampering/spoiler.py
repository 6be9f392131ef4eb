"""Plants rows of its own in MySQL, and spoils what stores hold of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from types import TracebackType
from typing import Any

from pymysql.cursors import DictCursor

from audit.report import Class
from bench.tampering.documents import ElasticsearchStore, MongoStore, RedisStore
from bench.tampering.graph import Graph
from bench.tampering.objects import Objects
from bench.tampering.plan import FIRST, PLANTED, Spot, Where, expected, numbers_of
from bench.tampering.store import Held, Row, Store
from bench.tampering.tables import Mysql, Postgres, Sqlite
from changes.topology import Topology
from streams.mysql import MysqlUrl, connect

STORES: Mapping[str, Callable[[str], Store]] = {
    "ai_identity": Postgres,
    "credit": Mysql,
    "dao": Mysql,
    "elasticsearch": ElasticsearchStore,
    "mongodb": MongoStore,
    "neo4j": Graph,
    "postgres": Postgres,
    "redis": RedisStore,
    "sqlite": Sqlite,
    "weaviate": Objects,
}


def uproot(topology: Topology, endpoints: Mapping[str, str]) -> None:
    """Take the planted rows out of MySQL: other traffic would look for its own among their keys."""
    with _mysql(endpoints) as cursor:
        for table in PLANTED:
            cursor.execute(f"DELETE FROM `{table}` WHERE `{topology.tables[table].key[0]}` >= {FIRST}")


class Spoiler:
    """Spoils ``spots``, from `plant` by `age` to `spoil`; stores must be in step with MySQL before each of the last
    two. To be closed."""

    def __init__(self, topology: Topology, version: str, endpoints: Mapping[str, str], spots: Sequence[Spot]) -> None:
        self._topology, self._endpoints, self._spots = topology, endpoints, spots
        self._targets = topology.every_target(version)
        self._copied: dict[str, dict[str, Any]] = {}
        self._old: dict[Where, Held] = {}
        self._leaving = ExitStack()
        self._stores: dict[str, Store] = {}
        for sink in dict.fromkeys(spot.target.sink for spot in spots):
            self._stores[sink] = STORES[sink](endpoints[sink])
            self._leaving.callback(self._stores[sink].close)

    def __enter__(self) -> "Spoiler":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.close()

    def plant(self) -> None:
        """Put copies of one row of each table into MySQL."""
        with _mysql(self._endpoints) as cursor:
            for table, numbers in numbers_of(self._spots).items():
                key = self._topology.tables[table].key
                cursor.execute(f"SELECT * FROM `{table}` WHERE `{key[0]}` < {FIRST} ORDER BY `{key[0]}` LIMIT 1")
                (copied,) = cursor.fetchall()
                self._copied[table] = copied
                rows = [self._copy(table, number) for number in numbers]
                names = ", ".join(f"`{name}`" for name in copied)
                marks = ", ".join(["%s"] * len(copied))
                cursor.executemany(
                    f"INSERT INTO `{table}` ({names}) VALUES ({marks})", [[*row.values()] for row in rows]
                )

    def _copy(self, table: str, number: int) -> dict[str, Any]:
        planted, copied = PLANTED[table], self._copied[table]
        told = {name: f"{copied[name] or ''} {number}" for name in (planted.texts[0], *planted.unique)}
        return copied | told | {self._topology.tables[table].key[0]: number}

    def age(self) -> None:
        """Remember what stores hold of the rows whose old state is put back, and change these in MySQL."""
        for spot in self._spots:
            if spot.kind == "put back":
                self._old[spot.where] = self._stores[spot.target.sink].take(spot.target, self._row(spot, spot.number))
                table, told = spot.target.source, PLANTED[spot.target.source].texts[0]
                with _mysql(self._endpoints) as cursor:
                    cursor.execute(
                        f"UPDATE `{table}` SET `{told}` = CONCAT(`{told}`, '!')"
                        f" WHERE `{self._topology.tables[table].key[0]}` = {spot.number}"
                    )

    def spoil(self) -> dict[Where, Class]:
        """What an audit must find then."""
        for spot in self._spots:
            self._spoil(spot)
        return expected(self._spots, self._targets)

    def _spoil(self, spot: Spot) -> None:
        store, target, row = self._stores[spot.target.sink], spot.target, self._row(spot, spot.number)
        if spot.kind == "deleted":
            store.drop(target, row)
            return
        if spot.kind == "relationship removed":
            assert isinstance(store, Graph)  # noqa: S101 - nobody else's targets have edges
            store.cut(target, row)
            return
        if spot.kind == "lifetime given":
            assert isinstance(store, RedisStore)  # noqa: S101 - nobody else's rows can have one
            store.limit(target, row)
            return
        held, name = store.take(target, row), store.name(spot.column)
        match spot.kind:
            case "altered":
                held = {**held, name: f"{held[name]}."}
            case "vector swapped":
                held = {**held, name: store.take(target, self._row(spot, spot.other))[name]}
            case "position raised":
                held = store.raised(held)
            case "put back":
                held = self._old[spot.where]
            case "extra":
                row = self._row(spot, spot.other)
        store.put(target, row, held)

    def _row(self, spot: Spot, number: int) -> Row:
        """A row of the spot's target, whose key begins with ``number``."""
        copied, target = self._copied[spot.target.source], spot.target
        key = {name: copied[name] for name in target.key} | {target.key[0]: number}
        owner = "" if target.user is None else str(key.get(target.user, copied[target.user]))
        return Row(key, owner)


@contextmanager
def _mysql(endpoints: Mapping[str, str]) -> Iterator[Any]:
    with closing(connect(MysqlUrl.parse(endpoints["mysql"]))) as connection, connection.cursor(DictCursor) as cursor:
        yield cursor
        connection.commit()
