"""Conservation, looked at again and again: what of the version's records nobody accounts for."""

import secrets
import time
from collections.abc import Sequence

from audit.entry import Accounts, Remainder
from audit.schedule import Past, Rhythm, count_due
from changes.target import Target
from changes.topology import Topology
from streams.deliver.account import Part
from streams.deliver.conservation import conserved
from streams.deliver.counted import Counted
from streams.kafka import KafkaUrl


class Counting:
    """`count` blocks and is for one thread at a time. The first reads what lanes have accounts of, a day at most; each
    later one what has come since. Times are in seconds since 1970."""

    def __init__(self, topology: Topology, version: str, kafka: KafkaUrl, rhythm: Rhythm) -> None:
        self._topology, self._version, self._kafka, self._rhythm = topology, version, kafka, rhythm
        self._targets: Sequence[Target] = topology.every_target(version)
        self._counted: dict[Part, Counted] = {}
        self._past: Past | None = None

    def due(self, now: float) -> float:
        """When to count next."""
        return count_due(self._rhythm, self._past, now)

    def count(self) -> Accounts:
        """Raises `Transient` where Kafka cannot be reached; the next one is due as if it had been done."""
        now, began = time.time(), time.monotonic()
        at_ms = round(now * 1000)
        self._past = Past(now, 0.0)
        found = conserved(self._topology, self._version, self._kafka, self._targets, at_ms, self._counted)
        seconds = time.monotonic() - began
        self._past = Past(now, seconds)
        return Accounts(
            f"accounts-{at_ms}-{secrets.token_hex(3)}",
            at_ms,
            round(seconds, 3),
            [
                Remainder(
                    one.sink,
                    one.table,
                    one.target,
                    one.captured,
                    one.in_flight,
                    one.remainder,
                    at_ms,
                    one.unaccounted,
                )
                for one in found
            ],
        )
