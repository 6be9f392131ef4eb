"""The consistency agent of one version: it looks how everything stands, audits when an audit is due, remembers what
came of it, alarms, and answers whoever asks."""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from audit.accounts import behind, by_sink, worth_keeping
from audit.entry import Accounts, Entry, Told
from audit.history import History
from audit.incidents import Incident, Step, step, unsaid
from audit.schedule import SLOW, Rhythm
from changes.errors import Transient
from changes.topology import Topology
from streams.kafka import KafkaUrl, ensure_topics
from streams.topics import topic_specs
from tailrace.agent import api
from tailrace.agent.auditor import Auditor, Job, Outcome
from tailrace.agent.counting import Counting
from tailrace.agent.findings import sampled
from tailrace.agent.letters import Letters
from tailrace.agent.matrix import Checked, checked, store
from tailrace.agent.metrics import Metrics
from tailrace.agent.pulse import EVERY, Pulse
from tailrace.agent.sides import Sides
from tailrace.agent.turns import Turns
from tailrace.agent.webhook import Alert, Event, Webhook, alert_of
from tailrace.reports import Reports

log = logging.getLogger(__name__)

TURN = 1.0
"""Seconds between two looks at whether an audit is due."""
LAST_WORD = 5.0
"""Seconds for which an agent that is to end waits for what it is about to keep."""


class Agent:
    """`run` is the whole of it; the rest may be asked on the loop's thread while it runs."""

    def __init__(
        self, topology: Topology, version: str, endpoints: Mapping[str, str], reports: Reports, *, webhook: str = ""
    ) -> None:
        self.topology, self.version, self._reports = topology, version, reports
        self._kafka = KafkaUrl.parse(endpoints["kafka"])
        self.pulse = Pulse(topology, version, endpoints, reports)
        self.history = History(self._kafka, version)
        self.letters = Letters(topology, version, endpoints)
        self.sides = Sides(topology, version, endpoints)
        self._metrics = Metrics(version)
        self._auditor = Auditor(topology, version, endpoints)
        self._webhook = Webhook(webhook, self._sent)
        declared = topology.declared.versions[version].audit
        rhythm = Rhythm.of(declared)
        self._turns = Turns(topology, version, rhythm, declared.repair)
        self._counting = Counting(topology, version, self._kafka, rhythm)
        self._accounts: Accounts | None = None
        self._keeping = threading.Lock()
        self._sampled = sampled(topology.every_target(version))
        self._current: Job | None = None
        self._checked: dict[str, Checked] = {}

    async def run(self, ended: asyncio.Event, serve: Callable[["Agent"], Awaitable[None]]) -> None:
        """Until ``ended`` is set; ``serve`` answers meanwhile. Raises `Transient` where Kafka cannot be reached at the
        start.

        When it returns, threads may still wait for servers, or audit: they cannot be broken off, and whoever called is
        to end the process. What was about to be kept is kept by then, unless Kafka does not take it within `LAST_WORD`;
        nothing is kept from there on.
        """
        await _first_of(self._work(serve), ended.wait())
        self._keeping.acquire(timeout=LAST_WORD)  # on the loop's thread: no other may be left to do it

    async def _work(self, serve: Callable[["Agent"], Awaitable[None]]) -> None:
        self._reports.write("agent", {"state": "starting", "auditing": None})
        await asyncio.to_thread(ensure_topics, self._kafka, topic_specs(self.topology, self.version))
        await asyncio.to_thread(self.history.load)
        self._remember()
        await _first_of(self._watch(), self._audit(), self._account(), self._webhook.run(), serve(self))

    def _remember(self) -> None:
        """Go on from what the history has."""
        self._turns.remember("quick", self.history.last_of("quick"))
        self._turns.remember("deep", self.history.last_of("deep"))
        self._accounts = self.history.accounts
        for audit in self.history.at_hand():
            self._take_up(audit)
        for event, incident in unsaid(self.history.incidents(), self.history.told):
            self._alert(event, incident)

    async def _watch(self) -> None:
        while True:
            await asyncio.to_thread(self.pulse.look)
            self._turns.notice(self.pulse.lanes, self.pulse.fills)
            running = self._auditor.running
            report = {"state": "running", "auditing": None if running is None else running.id}
            await asyncio.to_thread(self._reports.write, "agent", report)
            await asyncio.sleep(EVERY)

    # -- auditing -------------------------------------------------------------------------------------------------

    async def _audit(self) -> None:
        loop, one_at_a_time = asyncio.get_running_loop(), ThreadPoolExecutor(1, "audit")
        publish = partial(self._publish, loop=loop)
        while True:
            job = self._next()
            if job is None:
                await asyncio.sleep(TURN)
                continue
            self._current, began = job, time.time()
            await loop.run_in_executor(one_at_a_time, self._auditor.run, job, publish)
            self._turns.done(job, began, self.history.open, self._sampled)
            try:
                await self.letters.count()
            except Transient as error:
                log.warning("dead letters are not known: %s", error)
            self._current = None

    def _next(self) -> Job | None:
        pulse = self.pulse
        if not pulse.at_ms:  # nothing was looked at yet
            return None
        last = {sink: one.at_ms / 1000 for sink, one in self._checked.items()}
        return self._turns.next(time.time(), pulse.paces(), pulse.fills, last, capturing=pulse.capturing)

    def _publish(self, outcome: Outcome, loop: asyncio.AbstractEventLoop) -> None:
        """On the audit's thread: the outcome and the incidents behind it are kept, then told."""
        entry, at_ms = outcome.entry, round(time.time() * 1000)
        with self._keeping:
            stepped = step(
                self.history.open,
                outcome.seen,
                audit=entry.id,
                depth=entry.depth,
                at_ms=at_ms,
                looked=outcome.looked,
                sampled=self._sampled,
            )
            self.history.add(Entry(entry, open=stepped.open, closed=stepped.closed))
        self._take_up(entry)
        self._metrics.audited(entry)
        self._tell(stepped, at_ms, loop)

    def _tell(self, stepped: Step, at_ms: int, loop: asyncio.AbstractEventLoop) -> None:
        for incident in stepped.opened:
            log.error("%s", alert_of("opened", self.version, at_ms, told(incident)).text)
            loop.call_soon_threadsafe(self._alert, "opened", incident)
        for incident in stepped.closed:
            log.info("%s", alert_of("closed", self.version, at_ms, told(incident)).text)
            loop.call_soon_threadsafe(self._alert, "closed", incident)

    def _take_up(self, entry: api.AuditDetail) -> None:
        """What an audit of whole stores says of them."""
        if entry.depth != "keys" and not entry.tables and entry.why != "repair":
            self._checked |= checked(entry, entry.report)

    # -- counting -------------------------------------------------------------------------------------------------

    async def _account(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(max(TURN, self._counting.due(time.time()) - time.time()))
            try:
                await asyncio.to_thread(self._count, loop)
            except Transient as error:
                log.warning("what became of records is not known: %s", error)

    def _count(self, loop: asyncio.AbstractEventLoop) -> None:
        """Records are counted, and the incidents behind that kept, then told."""
        accounts = self._counting.count()
        with self._keeping:
            stepped = behind(self.history.open, accounts)
            if stepped.opened or stepped.closed or worth_keeping(self.history.accounts, accounts):
                self.history.add(Entry(accounts=accounts, open=stepped.open, closed=stepped.closed))
            else:
                self.history.open = stepped.open
        self._accounts = accounts
        self._tell(stepped, accounts.at_ms, loop)

    # -- alarming -------------------------------------------------------------------------------------------------

    def _alert(self, event: Event, incident: Incident) -> None:
        self._webhook.send(alert_of(event, self.version, round(time.time() * 1000), told(incident)))

    async def _sent(self, alert: Alert, taken: bool) -> None:
        self._metrics.alerted(taken=taken)
        if not taken:
            return
        receipt = Told(alert.incident.id, alert.event, round(time.time() * 1000))
        await asyncio.to_thread(self.history.add, Entry(told=receipt))

    # -- answering ------------------------------------------------------------------------------------------------

    def ask(self, job: Job) -> None:
        """Have it done as soon as what is under way is over."""
        self._turns.ask(job)

    def slow(self, sinks: Sequence[str]) -> tuple[str, ...]:
        """Those of ``sinks``, of all where none are named, whose lanes hold changes back for long."""
        targets = self.topology.every_target(self.version)
        slow = {target.sink for target in targets if target.tier.flush > SLOW}
        return tuple(sink for sink in sinks or self.topology.sinks if sink in slow)

    @property
    def pending(self) -> list[Job]:
        """What is under way, then what waits."""
        current = self._current
        return [*([current] if current is not None else []), *self._turns.waiting]

    def state(self) -> api.State:
        pulse, open_ = self.pulse, self.history.open
        counts, accounts = self.letters.counts, self._accounts
        left = None if accounts is None else by_sink(accounts.targets)
        lanes: dict[str, list[api.Lane]] = {}
        for lane in pulse.lanes:
            lanes.setdefault(lane.sink, []).append(lane)
        return api.State(
            version=self.version,
            at_ms=pulse.at_ms,
            capture=pulse.capture,
            lanes=pulse.lanes,
            stores=[
                store(
                    sink,
                    pulse.capture,
                    mine,
                    self._checked.get(sink),
                    open_,
                    None if counts is None else counts[sink],
                    None if left is None else left[sink],
                )
                for sink, mine in lanes.items()
            ],
            running=self._auditor.running,
            next=self._turns.coming(time.time()),
            incidents=[told(one) for one in self.history.incidents() if one.closed_ms is None],
            conservation=[] if accounts is None else accounts.targets,
        )

    def metrics(self) -> bytes:
        return self._metrics.text(self.state())

    def close(self) -> None:
        self.pulse.close()


async def _first_of(*parts: Awaitable[object]) -> None:
    """Until one of them ends, by itself or with an exception, which is raised; the others are cancelled."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def told(incident: Incident) -> api.Incident:
    """As the socket tells it."""
    return api.Incident(
        id=incident.id,
        sink=incident.sink,
        table=incident.table,
        class_=incident.class_,
        opened_ms=incident.opened_ms,
        last_ms=incident.last_ms,
        closed_ms=incident.closed_ms,
        opened_by=incident.opened_by,
        last_by=incident.last_by,
        closed_by=incident.closed_by,
        depth=incident.depth,
        rows=incident.rows,
        whole=incident.whole,
        audits=incident.audits,
        keys=[spot.key for spot in incident.spots],
    )
