"""Which rows of which stores a proof spoils: every store, in every way there is, and no row twice."""

from pathlib import Path
from random import Random

from bench.tampering.plan import CLASSES, FIRST, PLANTED, Spot, expected, in_the_sums, numbers_of, planned
from bench.tampering.spoiler import STORES
from sinks.registry import SPECS
from tailrace.declared import read_whole

TOPOLOGY = read_whole(Path(__file__).parents[2] / "topics.yaml")
EVERYWHERE = {"altered", "deleted", "extra", "put back", "position raised"}
MORE = {
    "postgres": {"vector swapped"},
    "elasticsearch": {"vector swapped"},
    "weaviate": {"vector swapped"},
    "neo4j": {"relationship removed"},
    "redis": {"lifetime given"},
}


def plan(number: int, seed: int = 1) -> list[Spot]:
    return planned(TOPOLOGY, "future", Random(seed), number)


def test_every_sink_can_be_spoilt() -> None:
    assert STORES.keys() == SPECS.keys()


def test_seventy_are_enough_for_every_way_in_every_store() -> None:
    found: dict[str, set[str]] = {}
    for spot in plan(70):
        found.setdefault(spot.target.sink, set()).add(spot.kind)
    assert found == {sink: EVERYWHERE | MORE.get(sink, set()) for sink in SPECS}


def test_no_row_is_spoilt_twice_and_every_one_is_planted() -> None:
    spots = plan(200)
    numbers = [number for spot in spots for number in (spot.number, spot.other) if number]
    assert sorted(set(numbers)) == list(range(FIRST, FIRST + len(numbers)))
    there = numbers_of(spots)
    assert there.keys() <= PLANTED.keys()
    assert sum(map(len, there.values())) == len(numbers) - sum(spot.kind == "extra" for spot in spots)
    assert len(expected(spots, TOPOLOGY.every_target("future"))) >= len(spots)


def test_the_same_seed_makes_the_same_plan() -> None:
    assert plan(50) == plan(50)
    assert plan(50) != plan(50, seed=2)


def test_what_was_made_of_a_job_loses_its_relationship_with_it() -> None:
    targets = TOPOLOGY.every_target("future")
    (job,) = [target for target in targets if (target.sink, target.table) == ("neo4j", "jobs")]
    (resume,) = [target for target in targets if (target.sink, target.table) == ("neo4j", "resumes")]
    assert expected([Spot(job, "deleted", 7), Spot(resume, "deleted", 8)], targets) == {
        ("neo4j", "jobs", 7): "missing",
        ("neo4j", "jobs.analysis", 7): "altered",
        ("neo4j", "resumes", 8): "missing",
    }
    assert expected([Spot(job, "altered", 7)], targets) == {("neo4j", "jobs", 7): CLASSES["altered"]}
    assert in_the_sums([Spot(job, "deleted", 7), Spot(job, "altered", 8), Spot(job, "extra", 9, 10)]) == {
        ("neo4j", "jobs", 7): "missing",
        ("neo4j", "jobs", 10): "extra",
    }
