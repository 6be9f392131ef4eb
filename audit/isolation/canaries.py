"""Canaries: written into every place of every version, searched for in all of them, taken away. Blocking; what is
decided of it is `data`.

The order is plant, search, remove; `remove` may be called at any time, and twice.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from audit.isolation import kafka
from audit.isolation.canaryrow import CanaryRows
from audit.isolation.data import Searched, judged, tokens_of, unarrived
from audit.isolation.doors import AT_ONCE
from audit.isolation.places import Place
from audit.isolation.report import Judged
from audit.isolation.stores import store_of
from changes.errors import TailraceError
from changes.topology import Topology
from streams.kafka import KafkaUrl
from streams.mysql import MysqlUrl
from streams.watch import LaneId, PositionsTail, lanes_of, wait

T = TypeVar("T")

_FRESH_MS = 5000
"""Capture publishes at least every 100 ms where it runs."""
_LOOK_SECONDS = 2.0


class Canaries:
    """One run. ``tokens`` are the canaries by version."""

    def __init__(
        self, topology: Topology, places: Sequence[Place], *, timeout: float, tell: Callable[[str], None]
    ) -> None:
        """``timeout``: seconds that a row may take through all lanes; slower tiers get no row, but a marker."""
        self._topology, self._places, self._timeout, self._tell = topology, places, timeout, tell
        self.tokens = tokens_of(list(dict.fromkeys(one.version for one in places)))
        self._unplanted: dict[Place, str] = {}
        self._since: dict[Place, kafka.Ends] = {}
        self._rows: dict[str, CanaryRows] = {}
        self._waiting: dict[str, list[str]] = {}

    def plant(self) -> None:
        """A marker in every place, and a row in the MySQL of each version whose line runs."""
        for place in self._places:
            if place.family == "kafka":
                try:
                    self._since[place] = kafka.ends(place.url)
                except TailraceError as error:
                    self._unplanted[place] = str(error)
        self._each(self._plant)
        for version in self.tokens:
            self._plant_row(version)

    def search(self) -> list[Searched]:
        """Every place, for the canaries of all versions."""
        return self._each(self._search)

    def judge(self, version: str, searched: Sequence[Searched]) -> Judged:
        found = judged(version, self.tokens, searched, self._unplanted)
        return found + unarrived(version, self._waiting.get(version, ()))

    def remove(self) -> None:
        """Take all away, and wait until the rows are gone from the stores; what cannot be removed is told."""
        for version, rows in self._rows.items():
            try:
                rows.remove()
                self._settle(version)
            except TailraceError as error:
                self._tell(f"{version}: the canary row may still be in MySQL, as `{self.tokens[version]}`: {error}")
        self._rows.clear()
        self._each(self._remove)

    def _plant(self, place: Place) -> None:
        token = self.tokens[place.version]
        try:
            if place.family == "kafka":
                kafka.plant(place.url, place.version, token)
            else:
                store_of(place.family).plant(place.url, token)
        except TailraceError as error:
            self._unplanted[place] = str(error)

    def _search(self, place: Place) -> Searched:
        tokens, begun = list(self.tokens.values()), time.monotonic()
        try:
            if place.family == "kafka":
                found = kafka.search(place.url, tokens, self._since.get(place, {}))
            else:
                found = store_of(place.family).search(place.url, tokens)
        except TailraceError as error:
            return Searched(place, None, str(error))
        seconds = time.monotonic() - begun
        self._tell(f"{place.version}: {place.kind} searched, {found.looked_at} things in {seconds:.1f} s")
        return Searched(place, found)

    def _remove(self, place: Place) -> None:
        try:
            if place.family == "kafka":
                kafka.remove(place.url, place.version)
            else:
                store_of(place.family).remove(place.url)
        except TailraceError as error:
            if place not in self._unplanted:
                self._tell(f"{place.version}: the canary in {place.kind} could not be taken away: {error}")

    def _plant_row(self, version: str) -> None:
        mysql = self._url(version, "mysql")
        if mysql is None or not self._runs(version):
            self._tell(f"{version}: no line runs, so no row is sent through it; each place has a marker")
            return
        rows = self._rows[version] = CanaryRows(self._topology, version, MysqlUrl.parse(mysql), self._timeout / 2)
        self._waiting[version] = [f"{version}.capture"]
        try:
            targets = rows.plant(self.tokens[version])
            self._waiting[version] = self._settle(version)
        except TailraceError as error:
            self._tell(f"{version}: no row came through the line: {error}")
            return
        sinks = ", ".join(dict.fromkeys(target.sink for target in targets))
        self._tell(f"{version}: a row went through the line to {sinks or 'no store: no table takes one'}")

    def _settle(self, version: str) -> list[str]:
        """Wait until the lanes have passed what is in MySQL now; those that have not. Raises as MySQL does."""
        mysql, kafka_url = self._url(version, "mysql"), self._url(version, "kafka")
        if mysql is None or kafka_url is None:
            return []
        lanes = self._lanes(version)
        state = wait(MysqlUrl.parse(mysql), KafkaUrl.parse(kafka_url), lanes, version=version, timeout=self._timeout)
        return sorted(state.waiting) if state.captured else [f"{version}.capture"]

    def _lanes(self, version: str) -> list[LaneId]:
        tiers = self._topology.tiers
        return [lane for lane in lanes_of(self._topology, version) if tiers[lane.tier].flush <= self._timeout / 2]

    def _runs(self, version: str) -> bool:
        """Whether capture has said anything of late."""
        url = self._url(version, "kafka")
        if url is None:
            return False
        tail = PositionsTail(KafkaUrl.parse(url), version)
        try:
            deadline = time.monotonic() + _LOOK_SECONDS
            while time.monotonic() < deadline:
                tail.poll(0.1)
                if tail.last is not None and time.time() * 1000 - tail.last.at_ms <= _FRESH_MS:
                    return True
        except TailraceError:  # no such topic: nothing was ever captured; or Kafka is away, which the search tells
            return False
        finally:
            tail.close()
        return False

    def _url(self, version: str, kind: str) -> str | None:
        return next((one.url for one in self._places if (one.version, one.kind) == (version, kind)), None)

    def _each(self, work: Callable[[Place], T]) -> list[T]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(work, self._places))
