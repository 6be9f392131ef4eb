"""Audits of a line under traffic: false alarms, then tamperings found and mended.

    python -m bench.proof [--profile core|full] [--rows N] [--rate N] [--made-rate N] [--audits N] [--tamperings N]

Servers of the profile are started, filled and stopped; a fill of 100,000 rows with everything that is made of them
takes a quarter of an hour on two cores, longer with all stores. With ``--folder`` the servers' data stays there, and a
later run goes on with the rows that it finds.

Two runs of audits over one fill: all targets, what was made of rows included, at the rate that enrichment bears on the
machine at hand; then, with enrichment stopped, the rows' targets at the rate that is asked for. Behind the first,
stores are spoilt (`bench.tampering`) while traffic goes on: a quick audit must find what changed positions, hashes or
presence, a deep one everything, each with its class and key; a repair must ask for exactly these, and the next audit
be equal. Prints one JSON object, and ends with 1 where any of this was not so.
"""

import argparse
import asyncio
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from audit.deep import Audited, Terms, check
from audit.pace import step_aside
from audit.repair import planned as planned_repair
from audit.repair import repair
from audit.report import Class
from bench.apart import TrafficApart
from bench.tampering.plan import Spot, Where, expected, in_the_sums, planned
from bench.tampering.spoiler import Spoiler, uproot
from changes.topology import Topology
from streams.deliver.control import flushing
from streams.kafka import KafkaUrl
from streams.mysql import MysqlUrl, connect
from streams.watch import enrichment_of, lanes_of, wait
from tailrace.declared import read_whole
from tailrace.endpoints import having
from tailrace.example.load import load
from tailrace.garbage import collect_seldom
from tailrace.pipeline import Pipeline
from tailrace.stack import Stack

TOPICS = Path(__file__).parents[1] / "topics.yaml"
TERMS = Terms(timeout=300.0, rounds=12)
RATES = {"core": 1000.0, "full": 0.0}
"""Changes a second while rows alone are audited, unless told otherwise."""
FILLED_WITHIN = 4 * 3600.0


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", choices=sorted(RATES), default="core", help="which servers")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rate", type=float, help="changes a second while rows alone are audited; 0 leaves this out")
    parser.add_argument("--made-rate", type=float, default=100.0, help="the same while all is; 0 leaves this out")
    parser.add_argument("--workers", type=int, default=4, help="connections that write")
    parser.add_argument("--audits", type=int, default=10)
    parser.add_argument("--tamperings", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7, help="of what is spoilt")
    parser.add_argument("--folder", type=Path, help="keep the servers' data here")
    given = parser.parse_args()
    collect_seldom()
    given.rate = RATES[given.profile] if given.rate is None else given.rate
    with ExitStack() as leaving:
        folder = given.folder or Path(leaving.enter_context(tempfile.TemporaryDirectory(prefix="tailrace-proof-")))
        stack = Stack(folder / "stack", profile=given.profile, report=say)
        leaving.callback(stack.down)
        stack.up()
        told = proved(given, folder, stack.endpoints()["future"])
    print(json.dumps(told, indent=2))
    raise SystemExit(0 if told["proved"] else 1)


@dataclass(frozen=True)
class Under:
    """A line under proof, its servers, and whether what is made of rows is looked at too."""

    topology: Topology
    endpoints: Mapping[str, str]
    derived: bool

    def settle(self, timeout: float) -> None:
        settle(self.topology, self.endpoints, timeout, derived=self.derived)

    def audited(self, depth: Literal["quick", "deep"] = "deep") -> Audited:
        step_aside()  # only now: the servers and the line, started before, do not inherit it
        done = asyncio.run(
            check(self.topology, "future", self.endpoints, derived=self.derived, depth=depth, terms=TERMS, tell=say)
        )
        say(f"{depth} audit: {figures(done)}")
        return done


def proved(given: argparse.Namespace, folder: Path, endpoints: dict[str, str]) -> dict[str, Any]:
    topology = having(read_whole(TOPICS), endpoints)
    if not loaded(topology, endpoints):
        load(endpoints["mysql"], given.rows, 1)
    rows, made = (
        Pipeline(topology, {"future": endpoints}, topics=TOPICS, roles=roles, log_file=folder / f"{roles[0]}.log")
        for roles in (("capture", "deliver"), ("enrich",))
    )
    told: dict[str, Any] = {"profile": given.profile, "rows": given.rows}
    rows.start()
    try:
        # Nobody here waits for a tier's hour to be over.
        with flushing(KafkaUrl.parse(endpoints["kafka"]), "future"):
            if given.made_rate:
                made.start()
            try:
                told["seconds_to_fill"] = filled(Under(topology, endpoints, derived=bool(given.made_rate)))
                if given.made_rate:
                    told["all"] = under_traffic(given, Under(topology, endpoints, derived=True), given.made_rate)
            finally:
                made.stop()
            if given.rate:
                told["rows_alone"] = under_traffic(given, Under(topology, endpoints, derived=False), given.rate)
    finally:
        rows.stop()
    runs = [told[name] for name in ("all", "rows_alone") if name in told]
    told["proved"] = all(holds(run) for run in runs)
    return told | {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10}


def loaded(topology: Topology, endpoints: dict[str, str]) -> bool:
    """Whether an earlier run left its rows here; what it planted is taken out."""
    with closing(connect(MysqlUrl.parse(endpoints["mysql"]))) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_NAME = 'users'")
        there = cursor.fetchone() != (0,)
    if there:
        uproot(topology, endpoints)
    return there


def filled(line: Under) -> float:
    began = time.monotonic()
    line.settle(FILLED_WITHIN)
    seconds = round(time.monotonic() - began, 1)
    say(f"filled in {seconds} s")
    return seconds


def under_traffic(given: argparse.Namespace, line: Under, rate: float) -> dict[str, Any]:
    """Audits while writes go on; where what was made is among them, tamperings behind them."""
    url, seed = line.endpoints["mysql"], 3 if line.derived else 4
    found: dict[str, Any] | None = None
    with TrafficApart(url, rate=rate, seed=seed, workers=given.workers) as traffic:
        audits = [figures(line.audited()) for _ in range(given.audits)]
        written = traffic.stats()
        if line.derived and given.tamperings:
            spots = planned(line.topology, "future", random.Random(given.seed), given.tamperings)
            with Spoiler(line.topology, "future", line.endpoints, spots) as spoiler:
                traffic.pause()
                # The traffic writes among the keys that it found at its start: none of these.
                spoiler.plant()
                line.settle(1800)
                spoiler.age()
                line.settle(600)
                spoiler.spoil()
                traffic.resume()
            found = tampered(line, spots)
    uproot(line.topology, line.endpoints)
    return {
        "changes": written.changes,
        "changes_a_second": round(written.rate, 1),
        "audits": audits,
        "false_differences": sum(one["different"] for one in audits),
        "undecided_share": max((one["undecided_share"] for one in audits), default=0.0),
        "tampering": found,
    }


def settle(topology: Topology, endpoints: Mapping[str, str], timeout: float, *, derived: bool) -> None:
    """Wait until every store has what is committed by now."""
    mysql, kafka = MysqlUrl.parse(endpoints["mysql"]), KafkaUrl.parse(endpoints["kafka"])
    told = 0.0

    def progress(waited: Any) -> None:
        nonlocal told
        if time.monotonic() - told > 20:
            told = time.monotonic()
            say(f"waiting: {waited.waiting} {waited.filling}")

    lanes, enrichment = lanes_of(topology, "future"), enrichment_of(topology, "future") if derived else None
    waited = wait(mysql, kafka, lanes, version="future", timeout=timeout, enrichment=enrichment, progress=progress)
    if not waited.done:
        raise SystemExit(f"not settled: {waited}")


def figures(done: Audited) -> dict[str, Any]:
    results = done.report.results
    rows = sum(result.source_rows for result in results)
    undecided = sum(result.undecided for result in results)
    return {
        "verdict": done.report.verdict,
        "seconds": done.report.seconds,
        "targets": len(results),
        "keys": rows,
        "different": sum(result.different for result in results),
        "undecided": undecided,
        "undecided_share": undecided / max(rows, 1),
        "away": sorted({f"{result.sink} {result.table}: {result.reason}" for result in results if result.reason}),
        "differences": [
            f"{result.sink} {result.table} {one.class_} {one.key} {one.columns}"
            for result in results
            for one in result.differences[:3]
        ],
    }


def tampered(line: Under, spots: list[Spot]) -> dict[str, Any]:
    """What audits say of stores that are spoilt so, and how a repair mends them."""
    targets = line.topology.every_target("future")
    seen = line.audited("quick")
    first = line.audited()
    number = sum(result.different for result in first.report.results)
    plan = planned_repair(first.findings, targets, different=number, cap=10 * len(spots))
    asked = {(table, row.key[0]) for table, rows in plan.rows.items() for row in rows}
    wanted = expected(spots, targets)
    began = time.monotonic()
    mended = asyncio.run(repair(line.topology, "future", line.endpoints, plan, terms=TERMS))
    seconds = time.monotonic() - began
    return {
        "made": len(spots),
        "kinds": {
            sink: sorted(spot.kind for spot in spots if spot.target.sink == sink) for sink in line.topology.sinks
        },
        "deep": held_against(wanted, first),
        "quick": held_against(in_the_sums(spots), seen, more=wanted),
        "asked": len(asked),
        "asked_beside_them": sorted(map(str, asked ^ {(table, number) for _, table, number in wanted})),
        "repair": {"verdict": mended.verdict, "seconds": round(seconds, 2)},
        "quick_audit_behind": figures(line.audited("quick")),
        "audit_behind": figures(line.audited()),
    }


def held_against(
    wanted: Mapping[Where, Class], audited: Audited, more: Mapping[Where, Class] | None = None
) -> dict[str, Any]:
    """What was found of what should be; ``more`` may be found too."""
    found: dict[Where, Class] = {
        (side.target.sink, side.target.table, int(str(finding.key.values[0]))): finding.found.class_
        for findings in audited.findings.values()
        for side, finding in findings
    }
    known = {**wanted, **(more or {})}
    return {
        **{name: figures(audited)[name] for name in ("seconds", "undecided", "away")},
        "wanted": len(wanted),
        "found_with_class_and_key": sum(found.get(where) == class_ for where, class_ in wanted.items()),
        "wrongly_classed": {
            str(where): [class_, found.get(where)] for where, class_ in wanted.items() if found.get(where) != class_
        },
        "found_beside_them": [f"{where}: {class_}" for where, class_ in found.items() if known.get(where) != class_],
    }


def holds(run: Mapping[str, Any]) -> bool:
    """Whether a run shows what it should."""
    spoilt = run["tampering"]
    calm = not run["false_differences"] and all(audit["verdict"] == "equal" for audit in run["audits"])
    if spoilt is None:
        return calm
    exact = not any(
        spoilt[depth][flaw] for depth in ("quick", "deep") for flaw in ("wrongly_classed", "found_beside_them")
    )
    behind = (spoilt["repair"], spoilt["quick_audit_behind"], spoilt["audit_behind"])
    return calm and exact and not spoilt["asked_beside_them"] and all(one["verdict"] == "equal" for one in behind)


if __name__ == "__main__":
    main()
