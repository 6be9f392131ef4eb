"""The whole line with traffic on it, and ways to reach behind its back."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import asyncpg
import redis
from line import Line, line

from audit.deep import Audited, Terms, check
from audit.repair import Plan, planned, repair
from audit.report import Report
from sinks.sql.sqlite.files import path_of
from streams.mysql import connect
from tailrace.example.traffic import Traffic
from tailrace.stack import Stack


@dataclass(frozen=True)
class Busy:
    """A line with traffic on it, and with rows that only the tests write."""

    line: Line
    traffic: Traffic

    def settle(self) -> None:
        """Wait, without traffic, until every store has what is committed."""
        self.traffic.pause()
        self.line.settle()
        self.traffic.resume()

    def audit(self, *tables: str, depth: Literal["quick", "deep"] = "deep", memory: Path | None = None) -> Audited:
        """``memory`` is where quick audits remember what they have read."""
        one, terms = self.line, Terms(memory=memory)
        audit = check(
            one.topology, one.version, one.endpoints, tables=tables, derived=one.enriched, depth=depth, terms=terms
        )
        return asyncio.run(audit)

    def planned(self, audited: Audited) -> Plan:
        different = sum(result.different for result in audited.report.results)
        targets = self.line.topology.every_target(self.line.version)
        return planned(audited.findings, targets, different=different, cap=1000)

    def repaired(self, plan: Plan) -> Report:
        return asyncio.run(repair(self.line.topology, self.line.version, self.line.endpoints, plan))

    def mysql(self, statement: str, *arguments: object) -> None:
        with closing(connect(self.line.mysql)) as connection, connection.cursor() as cursor:
            cursor.execute(statement, arguments)

    def postgres(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        async def run() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(self.line.endpoints["postgres"])
            try:
                return await connection.fetch(statement, *arguments)
            finally:
                await connection.close()

        return asyncio.run(run())

    def redis(self) -> "redis.Redis[bytes]":
        return redis.Redis.from_url(self.line.endpoints["redis"])

    def sqlite(self, user: str, statement: str, *arguments: object) -> None:
        path = path_of(Path(self.line.endpoints["sqlite"]), user)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(statement, arguments)
            connection.commit()


@contextmanager
def busy_line(folder: Path, *, rows: int, rate: float, enriched: bool = False) -> Iterator[Busy]:
    """Servers that no other test writes to, and traffic on them for as long as the block lasts."""
    servers = Stack(folder / "stack", environ={"HOME": str(Path.home())}, report=print)
    servers.up()
    try:
        with line(servers.endpoints()["future"], folder, rows=rows, enriched=enriched) as running:
            traffic = Traffic(running.endpoints["mysql"], rate=rate, seed=3, ledger=True)
            traffic.start()
            try:
                yield Busy(running, traffic)
            finally:
                traffic.stop()
    finally:
        servers.down()


def differences(report: Report) -> dict[tuple[str, int], tuple[str, list[str]]]:
    """By (sink, id): class and columns."""
    return {
        (result.sink, int(str(found.key["id"]))): (found.class_, found.columns)
        for result in report.results
        for found in result.differences
    }
