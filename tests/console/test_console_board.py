"""The Grafana board asks for nothing that no agent tells."""

import json
import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from test_console_matrix import NOW, state, store

import tailrace
from audit.entry import Audit
from tailrace.agent.api import Incident, Lane, Remainder, State
from tailrace.agent.metrics import Metrics
from tailrace.console.metrics import joined

BOARD = Path(tailrace.__file__).parents[1] / "grafana" / "tailrace.json"


def told() -> str:
    """The console's metrics of a version in which there is something of everything."""
    lane = Lane("redis", "realtime", "running", 100.0, 0.1, 3, applied=5, parked=1, attained=0.99)
    incident = Incident("i1", "redis", "jobs", "altered", NOW, NOW, None, "a1", "a1", None, "quick", 1, True, 1, [])
    remainder = Remainder("redis", "jobs", "jobs", 5, 0, 0, NOW)
    plain = state(store("redis", unaccounted=0))
    capture = type(plain.capture)("0000000000000000001", 0.1, "running")
    full = State("future", NOW, capture, [lane], plain.stores, None, [], [incident], [remainder])
    metrics = Metrics("future")
    metrics.audited(Audit("a1", "quick", "asked", NOW, seconds=1.0, verdict="equal"))
    return joined({"future": metrics.text(full).decode()})


def test_every_metric_of_the_board_is_told() -> None:
    samples = {sample.name for family in text_string_to_metric_families(told()) for sample in family.samples}
    board = json.loads(BOARD.read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    asked += [variable["query"] for variable in board["templating"]["list"] if variable["type"] == "query"]
    names = {name for expression in asked for name in re.findall(r"tailrace_\w+", expression)}
    assert names - samples == set()
    assert {panel["id"] for panel in board["panels"]} == set(range(1, len(board["panels"]) + 1))


def test_what_the_console_joins_is_well_formed_and_labelled() -> None:
    for family in text_string_to_metric_families(told()):
        assert family.documentation or family.type == "unknown", family
        assert {sample.labels.get("version") for sample in family.samples} <= {"future"}
