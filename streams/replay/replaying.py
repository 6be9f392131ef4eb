"""Replays planned, begun or gone on with, and watched: one for each sink, side by side."""

import asyncio
import os
import socket
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from changes.errors import Misconfigured, Transient
from changes.progress import internal_topic, unfold
from changes.target import Target
from changes.topology import Topology
from sinks.registry import SPECS
from streams.deliver.account import Part
from streams.deliver.stats import LaneStats
from streams.kafka import KafkaUrl, ensure_topics
from streams.replay.asked import Replay, Since, Way, refuse_old, refuse_slow, way_of
from streams.replay.beside import beside, following
from streams.replay.book import Book, unfinished
from streams.replay.course import Course, Standing
from streams.replay.names import shadow_of
from streams.replay.spans import Span, spans_of
from streams.replay.through import through
from streams.topics import LAG_DAYS, topic_specs
from streams.watch import lanes_of

LONGEST = LAG_DAYS * 86400
"""Seconds that a replay may take: deletes stand in their topics for as long."""
_WRITE_EVERY, _SILENT_MS = 5.0, 30_000


@dataclass(frozen=True)
class Progress:
    """How far a replay is; ``reason`` says what it waits for, "" where it goes on."""

    replay: Replay
    standing: Standing
    reason: str = ""

    @property
    def eta_s(self) -> float | None:
        return self.standing.eta_s(self.replay.records)


class Replaying:
    """Replays of one version."""

    def __init__(self, topology: Topology, version: str, endpoints: Mapping[str, str]) -> None:
        self._topology, self._version, self._endpoints = topology, version, endpoints
        self._kafka = KafkaUrl.parse(endpoints["kafka"])
        self._run = uuid.uuid4().hex[:8]
        book = internal_topic(version, "replays")
        ensure_topics(self._kafka, [spec for spec in topic_specs(topology, version) if spec.name == book])
        self.book = Book(self._kafka, version)

    def planned(
        self,
        targets: Mapping[str, Sequence[Target]],
        since: Since,
        *,
        rate: float,
        by_lane: bool = False,
        shadow: bool = False,
    ) -> list[Replay]:
        """The replays to these targets, by sink, or to shadows of them. Blocks while topics are looked at.

        Raises `ValueError` where there is nothing at ``since``, `Misconfigured` where it would last too long.
        """
        topics = list(dict.fromkeys(self._topology.topic_of(one) for some in targets.values() for one in some))
        spans = spans_of(self._kafka, self._version, topics, since)
        return [
            self._planned(
                sink,
                some,
                spans,
                since,
                rate,
                "shadow" if shadow else way_of(SPECS[sink].guarded, by_lane=by_lane),
            )
            for sink, some in targets.items()
        ]

    def _planned(
        self, sink: str, targets: Sequence[Target], spans: Mapping[Part, Span], since: Since, rate: float, way: Way
    ) -> Replay:
        topics = {self._topology.topic_of(target) for target in targets}
        mine = {part: span for part, span in spans.items() if part[0] in topics}
        records = sum(span.records for span in mine.values())
        refuse_slow(records, rate, LONGEST)
        now = round(time.time() * 1000)
        return Replay(
            id=uuid.uuid4().hex[:8],
            sink=sink,
            way=way,
            since=str(since),
            targets=sorted(target.name for target in targets),
            starts=unfold({part: span.start for part, span in mine.items()}),
            ends=unfold({part: span.end for part, span in mine.items()}),
            records=records,
            bytes=sum(span.bytes for span in mine.values()),
            rate=rate,
            begun_ms=now,
            at_ms=now,
        )

    def claimed(self, wanted: Sequence[Replay], *, anew: bool) -> list[Replay]:
        """Those to begin, or, where one was left unfinished, to go on with. Raises `Misconfigured` where one may not.

        With ``anew`` unfinished ones are dropped, whatever they were of.
        """
        known = self.book.replays()
        found = [self._to_claim(replay, unfinished(known, replay), anew) for replay in wanted]
        for replay in found:
            if not self.book.claim(replay):
                raise Misconfigured(f"another process has just begun a replay to `{replay.sink}`")
        return found

    def _to_claim(self, wanted: Replay, before: Replay | None, anew: bool) -> Replay:
        chosen = wanted
        if before is not None:
            self.refuse_running(before)
            if anew:
                self.drop(before)
            else:
                _refuse_other(before, wanted)
                refuse_old(before, wanted.at_ms, LONGEST)
                chosen = msgspec.structs.replace(before, rate=wanted.rate, at_ms=wanted.at_ms)
        return msgspec.structs.replace(chosen, host=socket.gethostname(), pid=os.getpid(), run=self._run)

    def refuse_running(self, replay: Replay) -> None:
        """Raises `Misconfigured` where another process is at it."""
        if self._runs(replay):
            raise Misconfigured(
                f"a replay to `{replay.sink}` is under way: process {replay.pid} on {replay.host}, from {replay.since},"
                f" {replay.done:.0%} done. Two would deliver everything twice; wait for it, or end that process"
            )

    def _runs(self, replay: Replay) -> bool:
        if replay.run == self._run:
            return True
        if replay.host != socket.gethostname():
            return time.time() * 1000 - replay.at_ms < _SILENT_MS
        try:
            os.kill(replay.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return replay.pid != os.getpid()

    def drop(self, replay: Replay) -> None:
        """Nobody goes on with it."""
        self.refuse_running(replay)
        self.book.write(msgspec.structs.replace(replay, state="dropped", at_ms=round(time.time() * 1000)))

    async def run(
        self, replay: Replay, stop: asyncio.Event, tell: Callable[[Progress], None], course: Course | None = None
    ) -> Replay:
        """Deliver what a claimed replay is of; as it stands when it is done, or ``stop`` is set.

        A shadow's ``course`` says how far it is; it goes on when it is filled.
        """
        state, written_at = replay, time.monotonic()
        writing: set[asyncio.Task[None]] = set()

        def progress(standing: Standing, reason: str, *, followed: bool = False) -> None:
            nonlocal state, written_at
            news = followed and not state.followed
            state = msgspec.structs.replace(
                state,
                done=standing.done if course is None else max(state.done, standing.done),  # filled once is filled
                speed=standing.speed or state.speed,
                followed=state.followed or followed,
                at_ms=round(time.time() * 1000),
            )
            tell(Progress(state, standing, reason))
            if (news or time.monotonic() - written_at >= _WRITE_EVERY) and not writing:
                written_at = time.monotonic()
                task = asyncio.create_task(self._kept(state))
                writing.add(task)
                task.add_done_callback(writing.discard)

        try:
            standing = await self._delivered(replay, stop, progress, course)
        finally:
            await asyncio.gather(*writing)
        if standing.done >= 1.0 and course is None:
            state = msgspec.structs.replace(state, state="done", done=1.0)
        await asyncio.to_thread(self.book.write, state)
        return state

    async def _kept(self, state: Replay) -> None:
        """For people who ask how far it is; while Kafka is away nobody can."""
        with suppress(Transient):
            await asyncio.to_thread(self.book.write, state)

    async def _delivered(
        self, replay: Replay, stop: asyncio.Event, progress: Callable[..., None], course: Course | None
    ) -> Standing:
        targets: dict[str, list[Target]] = {}
        for target in self.targets_of(replay):
            targets.setdefault(self._topology.topic_of(target), []).append(target)
        if replay.way == "through":
            lanes = lanes_of(self._topology, self._version, [replay.sink])
            return await through(
                self._version,
                self._kafka,
                replay,
                lanes,
                stop,
                lambda standing, followed: progress(standing, "" if followed else _WAITING, followed=followed),
            )
        endpoint = self._endpoints[SPECS[replay.sink].endpoint]

        def told(standing: Standing, stats: LaneStats) -> None:
            progress(standing, stats.reason)

        if course is not None:
            return await following(self._version, self._kafka, endpoint, replay, targets, course, [stop], told)
        return await beside(self._version, self._kafka, endpoint, replay, targets, stop, told)

    def targets_of(self, replay: Replay) -> list[Target]:
        """The places that it fills. Raises `Misconfigured` where one is not declared any more."""
        declared = {one.name: one for one in self._topology.every_target(self._version) if one.sink == replay.sink}
        if gone := set(replay.targets) - declared.keys():
            raise Misconfigured(f"a replay to `{replay.sink}` is of {', '.join(sorted(gone))}, not declared any more")
        live = [declared[name] for name in replay.targets]
        return [shadow_of(one, replay.id) for one in live] if replay.way == "shadow" else live


_WAITING = "its lanes have not gone back yet"


def _refuse_other(before: Replay, wanted: Replay) -> None:
    if not wanted.asks(before):
        raise Misconfigured(
            f"a replay to `{before.sink}` of {', '.join(before.targets)} from {before.since} was left at"
            f" {before.done:.0%}: ask for the same and it goes on there, or say `--anew` to drop it"
        )
