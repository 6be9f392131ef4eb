"""The delivery process of a version: all its lanes on one event loop."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from changes.target import Target
from changes.topology import Topology
from sinks.registry import SPECS
from streams.deliver.control import Orders
from streams.deliver.lane import Lane
from streams.deliver.schemas import SchemaBook
from streams.kafka import KafkaUrl, ensure_topics
from streams.topics import topic_specs
from streams.watch import lanes_of

log = logging.getLogger(__name__)


class Deliver:
    """``endpoints`` maps the endpoint names of the sinks' specs to URLs or folders."""

    def __init__(
        self,
        topology: Topology,
        version: str,
        kafka: KafkaUrl,
        endpoints: Mapping[str, str],
        *,
        sinks: Sequence[str] = (),
        worker: str = "0",
    ) -> None:
        """``worker`` is this process's name among those that share its lanes, see `LaneConsumer`."""
        self._topology, self._version, self._kafka = topology, version, kafka
        schemas = SchemaBook(kafka, version)
        targets: dict[tuple[str, str], dict[str, list[Target]]] = {}
        for target in topology.every_target(version):
            topic = topology.topic_of(target)
            targets.setdefault((target.sink, target.tier.name), {}).setdefault(topic, []).append(target)
        self.lanes = [
            Lane(
                SPECS[lane.sink],
                topology.tiers[lane.tier],
                targets[lane.sink, lane.tier],
                version=version,
                endpoint=endpoints[SPECS[lane.sink].endpoint],
                kafka=kafka,
                schemas=schemas,
                worker=worker,
            )
            for lane in lanes_of(topology, version, sinks)
        ]

    async def run(self, stop: asyncio.Event, tick: Callable[[], None]) -> None:
        """Until ``stop`` is set; ``tick`` is called every second, to publish the lanes' counts."""
        await asyncio.to_thread(ensure_topics, self._kafka, topic_specs(self._topology, self._version))
        tasks = [asyncio.create_task(lane.run(), name=lane.stats.sink) for lane in self.lanes]
        stopped = asyncio.create_task(stop.wait())
        tasks.append(asyncio.create_task(self._listen(stop), name="orders"))
        while not stopped.done():
            done, _ = await asyncio.wait([stopped, *tasks], timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
            tick()
            for task in done - {stopped}:
                task.result()  # a lane ends only when told to, or by a mistake of ours: fail loudly
        for lane in self.lanes:
            lane.stop()
        await asyncio.gather(*tasks)
        tick()

    async def _listen(self, stop: asyncio.Event) -> None:
        """Hand on what people ask of lanes. Orders that come while Kafka is away are given again by whoever waits."""
        orders = await asyncio.to_thread(Orders, self._kafka, self._version)
        try:
            while not stop.is_set():
                order = await asyncio.to_thread(orders.next, 0.5)
                if order is not None:
                    for lane in self.lanes:
                        lane.tell(order)
        finally:
            await asyncio.to_thread(orders.close)
