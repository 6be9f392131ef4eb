"""Faust keeps to itself that it has given up: whoever runs it has to notice, or nothing is enriched any more."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from enriched import TOPICS
from faust.exceptions import ConsumerNotStarted

from changes.errors import Transient
from changes.topology import Topology
from enrichers.cache import open_cache
from enrichers.settings import Settings
from streams.enrich.app import Enrich
from streams.enrich.models import Models
from streams.enrich.said import Said
from streams.kafka import KafkaUrl, ensure_topics
from streams.topics import topic_specs
from tailrace.declared import read_topology
from tailrace.stack import Stack


async def test_an_enrichment_that_gave_up_is_told(servers: Stack, tmp_path: Path) -> None:
    endpoints = servers.endpoints()["future"]
    (tmp_path / "topics.yaml").write_text(TOPICS)
    topology, kafka = read_topology(tmp_path / "topics.yaml"), KafkaUrl.parse(endpoints["kafka"])
    await asyncio.to_thread(ensure_topics, kafka, topic_specs(topology, "future"))
    models = Models(endpoints["postgres"])
    await models.check(topology, "future", remember=True)
    await models.close()
    enrich, running = await begun(topology, endpoints, tmp_path)
    await enrich.app.consumer.crash(RuntimeError("the coordinator is gone"))
    with pytest.raises(Transient, match="the coordinator is gone"):
        await asyncio.wait_for(running, 60)


async def begun(topology: Topology, endpoints: dict[str, str], folder: Path) -> tuple[Enrich, asyncio.Task[None]]:
    """An enrichment that reads; topics that were just made have no leader yet, so that is tried again."""
    kafka, settings = KafkaUrl.parse(endpoints["kafka"]), Settings(version="future", cache_folder=folder)
    while True:
        cache, said = open_cache(endpoints["redis"], endpoints["postgres"]), Said(endpoints["postgres"], retry=60.0)
        enrich = Enrich(topology, "future", kafka, cache, said, settings)
        running = asyncio.create_task(enrich.run(asyncio.Event()))
        while not running.done():
            with suppress(ConsumerNotStarted):
                if enrich.app is not None and enrich.app.consumer.assignment():
                    return enrich, running
            await asyncio.wait([running], timeout=0.1)
        assert isinstance(running.exception(), Transient), running.exception()
