"""The processes of a version: ``python -m tailrace.worker capture|enrich|deliver|audit VERSION``.

Started and watched by `tailrace.pipeline`. A worker ends when it is told to (SIGTERM, SIGINT), and when whoever
started it is gone: its standard input is a pipe that nobody writes to, and that closes with its parent.
"""

import asyncio
import logging
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from changes.errors import Misconfigured, Transient
from changes.topology import Topology
from enrichers.cache import open_cache
from enrichers.settings import settings_from
from streams.capture.capture import Capture
from streams.deliver.deliver import Deliver
from streams.kafka import KafkaUrl, ensure_topics
from streams.mysql import MysqlUrl
from streams.topics import topic_specs
from tailrace.declared import read_topology
from tailrace.endpoints import endpoints_of
from tailrace.garbage import collect_seldom
from tailrace.health import STANDING_BY
from tailrace.logs import set_up
from tailrace.places import home
from tailrace.reports import Reports
from tailrace.seat import Seat

if TYPE_CHECKING:
    from streams.enrich.app import Enrich

log = logging.getLogger("tailrace.worker")

GRACE_SECONDS = 15
FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0
REFUSED_WAIT = 5.0


def capture(topology: Topology, version: str, stop: threading.Event, reports: Reports) -> None:
    """Capture, begun again from its checkpoint whenever a server goes away."""
    endpoints = endpoints_of(topology, version)
    mysql, kafka = MysqlUrl.parse(endpoints["mysql"]), KafkaUrl.parse(endpoints["kafka"])
    state = {"state": "running", "reason": "", "engine": ""}
    threading.Thread(target=_report_capture, args=(reports, state, stop), daemon=True).start()
    wait = FIRST_WAIT

    def standing_by(begins: bool) -> None:
        state["state"] = STANDING_BY if begins else "running"

    while not stop.is_set():
        began = time.monotonic()
        try:
            state |= {"state": "running", "reason": ""}
            running = Capture(topology, version, mysql, kafka, stop, standing_by=standing_by)
            state["engine"] = running.engine
            running.run()
        except Transient as error:
            wait = FIRST_WAIT if time.monotonic() - began > 10 * LONGEST_WAIT else min(wait * 2, LONGEST_WAIT)
            state |= {"state": "waiting", "reason": str(error)}
            log.warning("capture waits: %s", error)
            stop.wait(wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
        except Misconfigured as error:
            if state["reason"] != str(error):
                log.error("capture is stopped: %s", error)
            state |= {"state": "stopped", "reason": str(error)}
            stop.wait(REFUSED_WAIT)


def _report_capture(reports: Reports, state: dict[str, str], stop: threading.Event) -> None:
    while not stop.is_set():
        reports.write("capture", state)
        stop.wait(1.0)


async def deliver(topology: Topology, version: str, stop: threading.Event, reports: Reports, sinks: list[str]) -> None:
    """All lanes, or those of ``sinks``."""
    endpoints = endpoints_of(topology, version)
    kind = "-".join(["deliver", *sorted(sinks)])
    with Seat(reports.folder, kind) as seat:
        kafka = KafkaUrl.parse(endpoints["kafka"])
        worker = Deliver(topology, version, kafka, endpoints, sinks=sinks, worker=seat.name)
        name = f"{kind}.{seat.number}"
        ended = _ended_by(stop)
        await worker.run(ended, lambda: reports.write(name, {"lanes": [asdict(lane.stats) for lane in worker.lanes]}))


async def enrich(topology: Topology, version: str, stop: threading.Event, reports: Reports) -> None:
    """All enrichers of the version."""
    from streams.enrich.app import Enrich  # noqa: PLC0415  Faust and the model are loaded by this process only
    from streams.enrich.models import Models  # noqa: PLC0415
    from streams.enrich.said import Said  # noqa: PLC0415

    endpoints = endpoints_of(topology, version)
    kafka = KafkaUrl.parse(endpoints["kafka"])
    await asyncio.to_thread(ensure_topics, kafka, topic_specs(topology, version))
    settings = settings_from(version, topology.prefix(version), os.environ)
    models = Models(endpoints["postgres"])
    await models.check(topology, version, remember=True)
    await models.close()
    cache = open_cache(endpoints["redis"], endpoints["postgres"])
    said = Said(endpoints["postgres"], retry=settings.retry)
    worker = Enrich(topology, version, kafka, cache, said, settings)
    reporting = asyncio.create_task(_report_enrichment(reports, worker))
    try:
        await worker.run(_ended_by(stop))
    finally:
        reporting.cancel()


async def _report_enrichment(reports: Reports, worker: "Enrich") -> None:
    while True:
        await asyncio.to_thread(reports.write, "enrich", {"state": "running", **asdict(worker.stats)})
        await asyncio.sleep(1.0)


async def audit(topology: Topology, version: str, stop: threading.Event, reports: Reports) -> None:
    """The consistency agent of the version."""
    from audit.pace import step_aside  # noqa: PLC0415
    from tailrace.agent.agent import Agent  # noqa: PLC0415  the web server is loaded by this process only
    from tailrace.agent.server import serve  # noqa: PLC0415
    from tailrace.agent.webhook import VARIABLE  # noqa: PLC0415

    step_aside()
    webhook = os.environ.get(topology.prefix(version) + VARIABLE, "")
    agent = Agent(topology, version, endpoints_of(topology, version), reports, webhook=webhook)
    try:
        await agent.run(_ended_by(stop), partial(serve, path=reports.socket))
    except Transient:
        agent.close()
        raise
    logging.shutdown()
    os._exit(0)  # its threads only read; one that waits for a server, or audits, cannot be broken off


def _ended_by(stop: threading.Event) -> asyncio.Event:
    """``stop`` as an event of the running loop."""
    ended, loop = asyncio.Event(), asyncio.get_running_loop()

    def relay() -> None:
        stop.wait()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=relay, daemon=True).start()
    return ended


def main(arguments: list[str]) -> int:
    """``capture|enrich|deliver|audit VERSION [SINK…]``."""
    role, version, *sinks = arguments
    set_up(f"{version} {role}")
    collect_seldom()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    threading.Thread(target=_end_with_parent, args=(stop,), daemon=True).start()
    topology = read_topology(Path(os.environ.get("TAILRACE_TOPICS", "topics.yaml")))
    reports = Reports(home(), version)
    try:
        if role == "capture":
            capture(topology, version, stop, reports)
        else:
            work = {"enrich": enrich, "audit": audit}.get(role) or partial(deliver, sinks=sinks)
            asyncio.run(_until_ready(partial(work, topology, version, stop, reports), stop))
    except Misconfigured as error:
        log.error("%s", error)
        return 78
    return 0


async def _until_ready(work: Callable[[], Awaitable[None]], stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            await work()
        except Transient as error:
            log.warning("waits: %s", error)
            await asyncio.sleep(1.0)


def _end_with_parent(stop: threading.Event) -> None:
    while os.read(0, 1024):
        pass
    stop.set()
    time.sleep(GRACE_SECONDS)
    os._exit(1)  # whatever hangs, hangs with nobody to stop it


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
