"""What the agent's socket refuses beside what is under way, asked of the application without its agent."""

from types import SimpleNamespace
from typing import Any

import httpx

from audit.entry import Audit, AuditDetail
from changes.topology import load
from tailrace.agent.auditor import Job
from tailrace.agent.server import application

TOPICS = """\
versions:
  v: {database: d}
tables:
  - table: jobs
    key: [id]
    sinks:
      - {sink: postgres, tier: realtime}
"""
TOPOLOGY = load(TOPICS, "topics.yaml", {"postgres": lambda _: None})
FOUND = AuditDetail("a", "quick", "schedule", 1, verdict="different")


async def repair(pending: list[Job], kept: list[Audit]) -> httpx.Response:
    agent: Any = SimpleNamespace(
        version="v",
        topology=TOPOLOGY,
        pending=pending,
        history=SimpleNamespace(open=[], listed=lambda: kept, detail=lambda id_: FOUND if id_ == FOUND.id else None),
        slow=lambda sinks: (),
        ask=pending.append,
    )
    order = {"audit": "a", "sink": "postgres", "table": "jobs", "keys": [{"id": 1}]}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application(agent)), base_url="http://agent") as client:
        return await client.post("/repairs", json=order)


async def test_one_repair_at_a_time() -> None:
    pending = [Job("quick", "schedule")]
    assert (await repair(pending, [])).status_code == 202
    refused = await repair(pending, [])
    assert (refused.status_code, refused.json()) == (409, {"error": "a repair is under way"})
    assert [job.why for job in pending] == ["schedule", "repair"]


async def test_a_repair_that_has_an_outcome_is_over_though_the_agent_still_counts_behind_it() -> None:
    job = Job("keys", "repair", dry_run=True)
    assert (await repair([job], [])).status_code == 409
    assert (await repair([job], [job.audit])).status_code == 202
