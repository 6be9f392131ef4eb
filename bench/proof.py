"""Audits of a line under traffic: false alarms, then tamperings found and mended.

``python bench/proof.py [--rows N] [--rate N] [--made-rate N] [--audits N] [--tamperings N]``: one JSON object on
stdout. Servers of its own are started and stopped; a fill of 100,000 rows with everything that is made of them takes a
quarter of an hour on two cores.

With ``--folder`` the servers' data stays there, and a later run goes on with the rows that it finds.

Two runs of audits over one fill: all targets, what was made of rows included, at the rate that enrichment bears on the
machine at hand; then, with enrichment stopped, the rows' targets at the rate that is asked for.
"""

import argparse
import asyncio
import json
import random
import resource
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from apart import TrafficApart
from tampering import Spoiler, Where, uproot

from audit.deep import Audited, Terms, check
from audit.repair import planned, repair
from changes.topology import Topology
from streams.kafka import KafkaUrl
from streams.mysql import MysqlUrl, connect
from streams.watch import enrichment_of, lanes_of, wait
from tailrace.declared import read_whole
from tailrace.endpoints import having
from tailrace.example.load import load
from tailrace.pipeline import Pipeline
from tailrace.stack import Stack

TOPICS = Path(__file__).parents[1] / "topics.yaml"
TERMS = Terms(timeout=300.0, rounds=12)


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=1000.0, help="changes a second while rows alone are audited")
    parser.add_argument("--made-rate", type=float, default=100.0, help="the same while all is; 0 leaves this out")
    parser.add_argument("--workers", type=int, default=4, help="connections that write")
    parser.add_argument("--audits", type=int, default=10)
    parser.add_argument("--tamperings", type=int, default=100)
    parser.add_argument("--folder", type=Path, help="keep the servers' data here")
    arguments = parser.parse_args()
    with ExitStack() as leaving:
        folder = arguments.folder or Path(leaving.enter_context(tempfile.TemporaryDirectory(prefix="tailrace-proof-")))
        stack = Stack(folder / "stack", report=say)
        leaving.callback(stack.down)
        stack.up()
        print(json.dumps(proved(arguments, folder, stack.endpoints()["future"]), indent=2))


def proved(arguments: argparse.Namespace, folder: Path, endpoints: dict[str, str]) -> dict[str, Any]:
    topology = having(read_whole(TOPICS), endpoints)
    if not loaded(endpoints["mysql"]):
        load(endpoints["mysql"], arguments.rows, 1)
    rows, made = (
        Pipeline(topology, {"future": endpoints}, topics=TOPICS, roles=roles, log_file=folder / f"{roles[0]}.log")
        for roles in (("capture", "deliver"), ("enrich",))
    )
    told: dict[str, Any] = {"rows": arguments.rows}
    rows.start()
    try:
        if arguments.made_rate:
            made.start()
        try:
            told["seconds_to_fill"] = filled(topology, endpoints, derived=bool(arguments.made_rate))
            if arguments.made_rate:
                told["all"] = under_traffic(arguments, topology, endpoints, derived=True)
        finally:
            made.stop()
        if arguments.rate:
            told["rows_alone"] = under_traffic(arguments, topology, endpoints, derived=False)
    finally:
        rows.stop()
    return told | {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10}


def loaded(url: str) -> bool:
    """Whether an earlier run left its rows here; what it planted is taken out."""
    mysql = MysqlUrl.parse(url)
    with closing(connect(mysql)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_NAME = 'users'")
        there = cursor.fetchone() != (0,)
    if there:
        uproot(mysql)
    return there


def filled(topology: Topology, endpoints: dict[str, str], *, derived: bool) -> float:
    began = time.monotonic()
    settle(topology, endpoints, 3600, derived=derived)
    seconds = round(time.monotonic() - began, 1)
    say(f"filled in {seconds} s")
    return seconds


def under_traffic(
    arguments: argparse.Namespace, topology: Topology, endpoints: dict[str, str], *, derived: bool
) -> dict[str, Any]:
    """Audits while writes go on; where what was made is among them, tamperings behind them."""
    rate = arguments.made_rate if derived else arguments.rate
    spoiler = Spoiler(endpoints, random.Random(7), arguments.tamperings)
    found: dict[str, Any] | None = None
    seed = 3 if derived else 4
    with TrafficApart(endpoints["mysql"], rate=rate, seed=seed, workers=arguments.workers) as traffic:
        if derived:
            spoiler.plant()  # behind the start: the traffic writes among the ids that it finds then
        audits = [figures(audited(topology, endpoints, derived=derived)) for _ in range(arguments.audits)]
        written = traffic.stats()
        if derived and arguments.tamperings:
            spoiler.age(arguments.tamperings // 10 + 1)
            traffic.pause()
            settle(topology, endpoints, 600, derived=True)
            traffic.resume()
            found = tampering(topology, endpoints, spoiler, arguments.tamperings)
    uproot(MysqlUrl.parse(endpoints["mysql"]))
    return {
        "changes": written.changes,
        "changes_a_second": round(written.rate, 1),
        "audits": audits,
        "false_differences": sum(one["different"] for one in audits),
        "undecided_share": max(one["undecided_share"] for one in audits),
        "tampering": found,
    }


def settle(topology: Topology, endpoints: dict[str, str], timeout: float, *, derived: bool) -> None:
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


def audited(topology: Topology, endpoints: dict[str, str], *, derived: bool = True) -> Audited:
    done = asyncio.run(check(topology, "future", endpoints, derived=derived, terms=TERMS, tell=say))
    say(f"audit: {figures(done)}")
    return done


def figures(done: Audited) -> dict[str, Any]:
    results = done.report.results
    rows = sum(result.source_rows for result in results)
    undecided = sum(result.undecided for result in results)
    return {
        "verdict": done.report.verdict,
        "seconds": done.report.seconds,
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


def tampering(topology: Topology, endpoints: dict[str, str], spoiler: Spoiler, number: int) -> dict[str, Any]:
    """Spoil, audit, repair, audit again."""
    spoilt = spoiler.spoil(number)
    first = audited(topology, endpoints)
    found: dict[Where, str] = {
        (result.sink, result.table, int(str(one.key["id"]))): one.class_
        for result in first.report.results
        for one in result.differences
    }
    different = sum(result.different for result in first.report.results)
    plan = planned(first.findings, topology.every_target("future"), different=different, cap=10 * number)
    began = time.monotonic()
    mended = asyncio.run(repair(topology, "future", endpoints, plan, terms=TERMS))
    seconds = time.monotonic() - began
    last = audited(topology, endpoints)
    return {
        "made": len(spoilt),
        "found_with_class_and_key": sum(found.get(where) == class_ for where, class_ in spoilt.items()),
        "wrongly_classed": {
            str(where): [class_, found.get(where)] for where, class_ in spoilt.items() if found.get(where) != class_
        },
        "found_beside_them": [f"{where}: {class_}" for where, class_ in found.items() if where not in spoilt],
        "asked": plan.asked,
        "repair": {"verdict": mended.verdict, "seconds": round(seconds, 2)},
        "audit_behind": figures(last),
    }


if __name__ == "__main__":
    main()
