"""``tailrace epoch``: a new beginning, after MySQL's history broke."""

import time
from pathlib import Path

import click

from changes.progress import SnapshotState, anew
from streams.capture.capture import raised
from streams.capture.journal import Journal
from streams.capture.snapshot import executed
from streams.kafka import KafkaUrl
from streams.mysql import MysqlUrl, session
from streams.preflight import Flavour
from tailrace.commands.common import one_version, say, topics_option, version_option
from tailrace.declared import read_topology
from tailrace.endpoints import endpoints_of


@click.group()
def epoch() -> None:
    """Begin again after a reset, a restore, a lossy fail-over or a purged binlog."""


@epoch.command(name="raise")
@topics_option
@version_option
@click.confirmation_option(prompt="Every table will be read again. Go on?")
def raise_(topics: Path, version: str | None) -> None:
    """Raise the epoch: what MySQL holds now counts as newer than everything before, and is read anew.

    A capture that runs is shut out and goes on from here when it is started again (the pipeline does that).
    """
    topology = read_topology(topics)
    chosen = one_version(topology, version)
    endpoints = endpoints_of(topology, chosen)
    with session(MysqlUrl.parse(endpoints["mysql"])) as connection:
        now = executed(connection, mariadb=Flavour.of(connection).mariadb)
    journal = Journal(KafkaUrl.parse(endpoints["kafka"]), chosen)
    checkpoint, states, _ = journal.open()
    try:
        if checkpoint is None:
            say("nothing was captured yet: there is no epoch to raise")
            return
        fresh = raised(checkpoint, str(now), now.ordinal)
        begun: dict[str, SnapshotState] = {}
        for state in states.values():
            if not state.id:
                begun[state.table] = anew(state, "epoch")
                journal.save_snapshot(begun[state.table])
        # a whole record: nobody is to take the fills of the old epoch for this one's
        at_ms = time.time_ns() // 1_000_000
        journal.commit(fresh, ordinal=now.ordinal, rows=0, source_ms=0, now_ms=at_ms, snapshots=begun)
    finally:
        journal.close()
    say(f"version `{chosen}` is in epoch {fresh.epoch}; its {len(begun)} tables are read anew")
