"""One audit or repair at a time: what is asked of `audit.deep` and `audit.repair`, and what is handed on of it.

An audit that cannot be done, because MySQL or Kafka are away, is *undecided*. Nothing is tried again from here: the
next one is due soon enough.
"""

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

import msgspec

from audit.compare import named
from audit.deep import Audited, Terms, check
from audit.entry import Audit, AuditDetail, Why
from audit.incidents import Depth, Looked, Scope, Seen, Spot
from audit.repair import Plan, planned, repair, verdict_behind
from audit.report import LISTED, Verdict
from changes.errors import Misconfigured, Transient
from changes.topology import Topology
from streams.deliver.control import flushing
from streams.deliver.schemas import SchemaBook
from streams.kafka import KafkaUrl
from tailrace.agent.api import Running
from tailrace.agent.findings import entry_of, keys_of, seen_of, undone
from tailrace.stack.places import cache_folder

log = logging.getLogger(__name__)

WAITS: Mapping[Depth, float] = {"quick": 20.0, "keys": 20.0, "deep": 120.0}
"""Seconds for which an audit waits for capture and for each lane."""


MYSQL_SHARE = 0.5
"""Of MySQL's time, how much a deep audit takes for each table that it reads: nobody waits for this one."""


@dataclass(frozen=True)
class Job:
    """What is to be done. ``spots`` are rows to look at, in the one scope that a repair is about; without them all of
    ``tables`` and ``sinks`` is looked at, and all of those where none are named. ``flush`` are the stores whose lanes
    are asked to write first. ``cap`` is the most rows to have told anew; 0: none."""

    depth: Depth
    why: Why
    tables: tuple[str, ...] = ()
    sinks: tuple[str, ...] = ()
    spots: tuple[tuple[Scope, Spot], ...] = ()
    flush: tuple[str, ...] = ()
    cap: int = 0
    only: str = ""
    """The one table (or ``table.enricher``) whose differences are repaired; "" for all."""
    dry_run: bool = False
    id: str = field(default_factory=lambda: f"{round(time.time() * 1000)}-{secrets.token_hex(3)}")

    @property
    def audit(self) -> Audit:
        """As it stands in lists while it waits or runs."""
        return Audit(self.id, self.depth, self.why, round(time.time() * 1000))


@dataclass(frozen=True)
class Outcome:
    """What came of a job: its entry, what it saw, and which rows it looked at where it was about some only."""

    entry: AuditDetail
    seen: list[Seen]
    looked: Looked | None = None


class Auditor:
    """`run` blocks, for as long as a job takes, and is for one thread at a time."""

    def __init__(self, topology: Topology, version: str, endpoints: Mapping[str, str]) -> None:
        self._topology, self._version, self._endpoints = topology, version, endpoints
        self._kafka = KafkaUrl.parse(endpoints["kafka"])
        self._book = SchemaBook(self._kafka, version)
        self._refused = ""
        self.running: Running | None = None

    def run(self, job: Job, publish: Callable[[Outcome], None]) -> None:
        """Do it; each outcome is published as soon as it is there."""
        began = time.monotonic()
        entry = job.audit
        self.running = Running(job.id, job.depth, _what(job), 0, len(self._tables(job)), entry.began_ms)
        try:
            with self._flushing(job):
                asyncio.run(self._do(job, entry, publish))
            self._refused = ""
        except (Transient, TimeoutError) as error:
            reason = str(error) or "a server did not answer in time"
            log.warning("the audit %s is undecided: %s", job.id, reason)
            publish(Outcome(undone(entry, time.monotonic() - began, self._sinks(job), reason), []))
        except Misconfigured as error:
            if str(error) != self._refused:
                log.error("the audit %s cannot be done: %s", job.id, error)
            self._refused = str(error)
            publish(Outcome(undone(entry, time.monotonic() - began, self._sinks(job), str(error)), []))
        finally:
            self.running = None

    def _flushing(self, job: Job) -> AbstractContextManager[None]:
        return flushing(self._kafka, self._version, list(job.flush)) if job.flush else nullcontext()

    def _sinks(self, job: Job) -> list[str]:
        return list(job.sinks or self._topology.sinks)

    def _tables(self, job: Job) -> set[str]:
        if job.spots:
            return {table for (_, table), _ in job.spots}
        return {
            target.table
            for target in self._topology.every_target(self._version)
            if (not job.tables or target.source in job.tables) and (not job.sinks or target.sink in job.sinks)
        }

    def _tell(self, text: str) -> None:
        running = self.running
        if running is not None:
            over = " rows on both sides in " in text  # what a table's audit says at its end
            self.running = msgspec.structs.replace(running, what=text, done=running.done + over)

    async def _do(self, job: Job, entry: Audit, publish: Callable[[Outcome], None]) -> None:
        audited, looked = await self._audited(job)
        report = audited.report
        done = entry_of(job.id, job.why, entry.began_ms, report, tables=job.tables, sinks=job.sinks)
        outcome = Outcome(done, seen_of(report, audited.findings), looked)
        plan = self._planned(job, audited) if job.cap else None
        if job.why != "repair":
            publish(outcome)
            if plan is None or not plan.asked:
                return
            job = replace(job, id=f"{job.id}-repair", why="repair")
            entry = job.audit
        if plan is None or job.dry_run or not plan.asked:
            told = msgspec.structs.replace(outcome.entry, **_asked(plan), dry_run=job.dry_run)
            publish(replace(outcome, entry=told))
            return
        await self._repaired(job, entry, outcome, plan, publish)

    async def _repaired(
        self, job: Job, entry: Audit, before: Outcome, plan: Plan, publish: Callable[[Outcome], None]
    ) -> None:
        found = before.entry.report
        if found is None:
            raise RuntimeError("a repair follows an audit")
        log.info("asks capture for %d rows, of the differences that %s found", plan.asked, before.entry.id)
        began = time.monotonic()
        after = await repair(
            self._topology,
            self._version,
            self._endpoints,
            plan,
            sinks=job.sinks,
            terms=self._terms("keys", LISTED),
            tell=self._tell,
        )
        verdict: Verdict = verdict_behind(found, after, plan.left_out)
        done = entry_of(job.id, "repair", entry.began_ms, after, tables=job.tables, sinks=job.sinks)
        told = msgspec.structs.replace(
            done, verdict=verdict, seconds=round(time.monotonic() - began, 3), **_asked(plan)
        )
        publish(Outcome(told, seen_of(after), self._looked_at(plan)))

    def _looked_at(self, plan: Plan) -> Looked:
        targets = {(one.table, one.sink, one.name): one for one in self._topology.every_target(self._version)}
        looked: dict[Scope, set[bytes]] = {}
        for table, keys in plan.keys.items():
            for key, places in keys.items():
                for sink, name in places:
                    spot = Spot(named(targets[table, sink, name], key.values), name)
                    looked.setdefault((sink, table), set()).add(spot.id)
        return looked

    async def _audited(self, job: Job) -> tuple[Audited, Looked | None]:
        terms = self._terms(job.depth, max(LISTED, job.cap))
        if job.depth != "keys":
            audited = await check(
                self._topology,
                self._version,
                self._endpoints,
                tables=job.tables,
                sinks=job.sinks,
                depth=job.depth,
                terms=terms,
                tell=self._tell,
            )
            return audited, None
        await asyncio.to_thread(self._book.refresh)
        keys, looked = keys_of(job.spots, self._book.latest())
        audited = await check(
            self._topology,
            self._version,
            self._endpoints,
            sinks=list(dict.fromkeys(sink for (sink, _), _ in job.spots)),
            keys=keys,
            terms=terms,
            tell=self._tell,
        )
        return audited, looked

    def _terms(self, depth: Depth, keep: int) -> Terms:
        return Terms(timeout=WAITS[depth], keep=keep, memory=cache_folder(os.environ) / "agent", share=MYSQL_SHARE)

    def _planned(self, job: Job, audited: Audited) -> Plan:
        findings = {table: found for table, found in audited.findings.items() if not job.only or table == job.only}
        different = sum(
            result.different for result in audited.report.results if not job.only or result.table == job.only
        )
        targets = self._topology.every_target(self._version)
        return planned(findings, targets, different=different, cap=job.cap)


def _asked(plan: Plan | None) -> dict[str, object]:
    if plan is None:
        return {}
    return {
        "asked": {table: [list(one.key) for one in rows] for table, rows in plan.rows.items()},
        "left_out": plan.left_out,
    }


def _what(job: Job) -> str:
    if job.why == "repair" and job.cap:
        return f"repair of {job.only} in {', '.join(job.sinks)}"
    rows = f"{len(job.spots)} rows" if job.spots else ""
    tables = ", ".join(job.tables) if job.tables else "all tables"
    return f"{job.depth}: {rows or tables} in {', '.join(job.sinks) or 'all stores'}"
