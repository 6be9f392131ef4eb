"""A line whose deliveries stop and start one by one."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from line import Line, prepared

from tailrace.cli import cli
from tailrace.declared import read_topology
from tailrace.pipeline import Pipeline
from tailrace.stack.endpoints import variable


@dataclass
class Parts:
    """``log`` takes the lines of all processes."""

    line: Line
    topics: Path
    log: Path
    delivering: dict[str, Pipeline] = field(default_factory=dict)

    def start(self, sink: str) -> None:
        versions = {self.line.version: self.line.endpoints}
        self.delivering[sink] = Pipeline(
            self.line.topology, versions, topics=self.topics, roles=["deliver"], sinks=[sink], log_file=self.log
        )
        self.delivering[sink].start()

    @contextmanager
    def without(self, sink: str) -> Iterator[None]:
        self.delivering.pop(sink).stop()
        yield
        self.start(sink)

    def logged(self, *words: str) -> list[str]:
        """The lines that hold all of these."""
        return [text for text in self.log.read_text().splitlines() if all(word in text for word in words)]

    def until_logged(self, *words: str, more_than: int = 0) -> None:
        deadline = time.monotonic() + 90
        while len(self.logged(*words)) <= more_than:
            assert time.monotonic() < deadline, f"nobody said {words}"
            time.sleep(0.1)

    def assert_equal(self) -> None:
        report = self.line.check()
        assert [(found.sink, found.table, found.different) for found in report.results if found.different] == []
        assert report.verdict == "equal"

    def command(self, *words: str, code: int = 0) -> Any:
        """What a command prints as JSON, where it ends with that code."""
        environ = {variable(self.line.version, kind): url for kind, url in self.line.endpoints.items()}
        result = CliRunner().invoke(cli, [*words, "--topics", str(self.topics)], env=os.environ | environ)
        assert result.exit_code == code, (result.output, result.exception)
        return json.loads(result.stdout) if result.stdout else None


@contextmanager
def parts_of(endpoints: dict[str, str], folder: Path, declared: str, *, rows: int) -> Iterator[Parts]:
    """Capture, and a delivery process for each sink of ``declared``, over the example's tables; settled."""
    topics, log = folder / "topics.yaml", folder / "pipeline.log"
    topics.write_text(declared)
    prepared(endpoints, rows)
    topology = read_topology(topics)
    capture = Pipeline(topology, {"future": endpoints}, topics=topics, roles=["capture"], log_file=log)
    parts = Parts(Line(topology, endpoints, capture), topics, log)
    capture.start()
    try:
        for sink in dict.fromkeys(target.sink for target in topology.every_target("future")):
            parts.start(sink)
        yield parts
    finally:
        for one in (capture, *parts.delivering.values()):
            one.stop()
