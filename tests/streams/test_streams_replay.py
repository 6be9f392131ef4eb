"""What a replay is of, how far it is, and how fast it may go."""

from datetime import UTC, datetime, timedelta

import pytest
from bson import CodecOptions, decode
from streams_replays import replay

from changes.errors import Misconfigured
from changes.key import key_of
from changes.record import Record
from changes.schema import Column, Kind, TableSchema
from changes.target import Target
from changes.tier import DEFAULT_TIERS
from changes.topology import Topology, load
from sinks.mongodb.statements import UNTIL, layout_of, ready
from sinks.redis.statements import arguments
from sinks.registry import SPECS
from streams.deliver.lifetimes import aged
from streams.deliver.pace import QUIET, Brake, Pace
from streams.deliver.prepare import Prepared
from streams.replay.asked import (
    Since,
    chosen,
    measured,
    refuse_old,
    refuse_slow,
    seconds_for,
    since_of,
    way_of,
)
from streams.replay.course import Course, Standing, part_done
from streams.replay.spans import Seen, Span, span_of

DAY = 86400.0
TOPICS = """
versions:
  future: {database: shop, env: FUTURE_}
tables:
  - table: jobs
    key: [id]
    enrich:
      embedding: {kind: embed, vectors: {title: [title]}}
    sinks:
      - {sink: redis,    tier: realtime, place: "job:{id}"}
      - {sink: postgres, tier: realtime}
      - {sink: postgres, tier: realtime, of: embedding, place: job_embeddings}
  - table: users
    key: [id]
    sinks:
      - {sink: postgres, tier: realtime}
"""


@pytest.fixture(scope="module")
def topology() -> Topology:
    return load(TOPICS, "topics.yaml", {name: spec.check for name, spec in SPECS.items()})


def names(topology: Topology, **asked: list[str]) -> dict[str, list[str]]:
    wanted = {"sinks": [], "topics": [], "tables": []} | asked
    return {sink: [t.name for t in some] for sink, some in chosen(topology, "future", **wanted).items()}


def test_all_that_goes_to_a_sink_a_table_or_from_a_topic_is_chosen(topology: Topology) -> None:
    assert names(topology) == {"redis": ["job:{id}"], "postgres": ["jobs", "users", "job_embeddings"]}
    assert names(topology, sinks=["redis"]) == {"redis": ["job:{id}"]}
    assert names(topology, tables=["jobs"]) == {"redis": ["job:{id}"], "postgres": ["jobs", "job_embeddings"]}
    assert names(topology, topics=["future.enriched.jobs.embedding"]) == {"postgres": ["job_embeddings"]}
    assert names(topology, topics=["future.shop.users"], tables=["jobs"], sinks=["postgres"]) == {
        "postgres": ["jobs", "users", "job_embeddings"]
    }


def test_what_is_not_there_is_told_in_words(topology: Topology) -> None:
    with pytest.raises(ValueError, match="nothing goes to sink `neo4j`: there are redis, postgres"):
        names(topology, sinks=["neo4j"])
    with pytest.raises(ValueError, match=r"there is no topic `jobs`: there are future\.shop\.jobs, "):
        names(topology, topics=["jobs"])
    with pytest.raises(ValueError, match="there is no table `job`: there are jobs, users"):
        names(topology, tables=["job"])
    with pytest.raises(ValueError, match="nothing of users goes to sink `redis`"):
        names(topology, tables=["users"], sinks=["redis", "postgres"])


def test_where_it_begins() -> None:
    assert since_of("beginning") == Since()
    assert since_of("17") == Since(offset=17)
    assert since_of("2026-11-22T06:00") == since_of("2026-11-22T08:00+02:00") == Since(ms=1795327200000)
    assert str(since_of("2026-11-22T06:00")) == "2026-11-22T06:00:00+00:00"
    assert [str(Since()), str(Since(offset=4))] == ["the beginning", "offset 4"]
    with pytest.raises(ValueError, match="`yesterday` is no place to begin"):
        since_of("yesterday")


def test_a_store_that_is_not_its_own_guard_has_no_second_writer() -> None:
    unguarded = [name for name, spec in SPECS.items() if not spec.guarded]
    assert unguarded == ["weaviate"]
    assert [way_of(True, by_lane=False), way_of(True, by_lane=True)] == ["beside", "through"]
    assert [way_of(False, by_lane=False), way_of(False, by_lane=True)] == ["through", "through"]


def test_the_same_is_what_has_the_same_targets_from_the_same_place_on() -> None:
    assert replay().asks(replay(id="b", rate=5.0, ends={"t": {"0": 200}}))
    assert not replay().asks(replay(since="offset 3"))
    assert not replay().asks(replay(targets=["users"]))
    assert not replay().asks(replay(way="through"))


def test_one_that_would_outlive_its_topics_deletes_is_refused() -> None:
    refuse_slow(10**9, 0.0, 7 * DAY)
    refuse_slow(6 * 86400, 1.0, 7 * DAY)
    with pytest.raises(Misconfigured, match=r"take 8\.0 days, and after 7 days a topic forgets deletes"):
        refuse_slow(8 * 86400, 1.0, 7 * DAY)
    refuse_old(replay(), round(6 * DAY * 1000), 7 * DAY)
    with pytest.raises(Misconfigured, match="begun more than 7 days ago"):
        refuse_old(replay(), round(8 * DAY * 1000), 7 * DAY)


def test_the_time_it_may_take_is_of_the_last_that_was_not_held_back() -> None:
    ended = {
        "a": replay(id="a", state="done", speed=100.0, at_ms=1),
        "b": replay(id="b", state="done", speed=500.0, at_ms=2),
        "c": replay(id="c", state="done", speed=9.0, at_ms=3, rate=9.0),
        "d": replay(id="d", speed=8.0, at_ms=4),
        "e": replay(id="e", sink="redis", state="done", speed=7.0, at_ms=5),
    }
    assert [measured(ended, sink) for sink in ("postgres", "redis", "sqlite")] == [500.0, 7.0, None]
    assert seconds_for(1000, 0.0, 500.0) == 2.0
    assert seconds_for(1000, 100.0, 500.0) == 10.0
    assert seconds_for(1000, 100.0, None) == 10.0
    assert seconds_for(1000, 0.0, None) is None


A, B = ("t", 0), ("t", 1)


def test_how_far_it_is() -> None:
    assert part_done({A: 0, B: 10}, {A: 10, B: 40}, {A: 5, B: 25}) == 0.5
    assert part_done({A: 0, B: 10}, {A: 10, B: 40}, {}) == 0.0
    assert part_done({A: 5}, {A: 10}, {A: 3}) == 0.0, "a store that went back further is no less than nothing"
    assert part_done({A: 5}, {A: 10}, {A: 99}) == 1.0
    assert part_done({A: 5}, {A: 5}, {}) == 1.0
    assert Standing(0.25, 100.0).eta_s(1000) == 7.5
    assert Standing(0.0, 0.0).eta_s(1000) is None


def test_it_is_over_where_its_topics_ended_and_not_where_they_end_by_now() -> None:
    over: list[float] = []
    course = Course({A: 0, B: 0}, {A: 10, B: 10}, 0.0, 100.0, lambda: over.append(1))
    assert (course.holding, course.linger) == (False, 0.0)
    assert course.saw(5, {A: 5}, 101.0) == []
    assert course.standing.done == 0.25, "the other partition has not come to it yet"
    course.saw(25, {A: 20, B: 5}, 102.0)
    assert (course.standing, over) == (Standing(0.75, 30.0), [])
    course.saw(5, {A: 20, B: 10}, 103.0)
    assert (course.standing.done, over, course.finished) == (1.0, [1], True)


def test_an_end_that_nobody_is_given_is_looked_at() -> None:
    course = Course({A: 0}, {A: 10}, 0.0, 100.0, lambda: None)
    course.saw(9, {A: 9}, 101.0)
    assert course.saw(0, {A: 9}, 101.0 + QUIET) == [(A, range(9, 10))]


def test_a_brake_keeps_to_its_rate_and_saves_nothing_up() -> None:
    brake = Brake(100.0, {})
    brake.saw(50, 10.0)
    assert brake.rest(10.0) == 0.5
    assert brake.rest(10.6) == 0.0
    brake.saw(100, 20.0)
    assert brake.rest(20.0) == 1.0, "the ten seconds before count for nothing"
    brake.saw(100, 20.5)
    assert brake.rest(20.5) == 1.5


def test_a_lane_is_slow_until_it_is_where_it_was() -> None:
    pace = Pace(0.005)
    assert (pace.rest(0.0), pace.portion(500)) == (0.0, 500)
    pace.slow(20.0, {A: 10, B: 10})
    pace.saw(10, {A: 5, B: 10}, 0.0)
    assert (pace.rest(0.0), pace.portion(500), pace.portion(3)) == (0.5, 20, 3)
    pace.saw(5, {A: 10, B: 12}, 1.0)
    assert (pace.rest(1.0), pace.portion(500)) == (0.0, 500)


def test_a_span_is_as_dense_all_along_as_at_its_beginning() -> None:
    assert span_of(100, 1100, [Seen(100, 10), Seen(102, 30), Seen(103, 20), Seen(109, 20)]) == Span(
        100, 1100, 400, 8000
    )
    assert span_of(7, 9, [Seen(7, 3), Seen(8, 4)]) == Span(7, 9, 2, 7), "what is seen whole is not guessed"
    assert span_of(7, 7, []) == Span(7, 7, 0, 0)


SCHEMA = TableSchema("shop", "jobs", (Column("id", Kind.INTEGER, "bigint", False),), ("id",))


class Said:
    """A message that was written at ``at``."""

    def __init__(self, at: int) -> None:
        self.at = at


def of_a(keep: str, keep_for: int | None, sink: str = "redis", row: dict[str, object] | None = None) -> Record:
    target = Target("future", "shop", "jobs", ("id",), sink, DEFAULT_TIERS["realtime"], "job:{id}", keep, keep_for)  # type: ignore[arg-type]
    return Record(target, key_of(SCHEMA, {"id": 1}), 1, row, 0, SCHEMA, "job:1")  # type: ignore[arg-type]


def lived(record: Record, at: int, now: int) -> Record:
    message = Said(at)
    prepared = Prepared(records=[record], message_of={id(record): message})  # type: ignore[dict-item]
    aged(prepared, lambda told: told.at, now)  # type: ignore[attr-defined]
    (found,) = prepared.records
    assert prepared.message_of == {id(found): message}
    return found


def test_a_lifetime_counts_from_when_the_change_was_told() -> None:
    row: dict[str, object] = {"id": 1}
    assert lived(of_a("cache", 3600, row=row), 5_000, 5_999).lived == 0
    assert lived(of_a("cache", 3600, row=row), 5_000, 65_500).lived == 60
    assert lived(of_a("mirror", None, row=row), 5_000, 65_500).lived == 0
    assert lived(of_a("cache", 3600), 5_000, 65_500).lived == 0, "a delete has none"


def test_what_had_expired_is_written_to_be_gone() -> None:
    for late, left in ((0, 3_600_000), (600, 3_000_000), (3600, 1), (99_999, 1)):
        record = lived(of_a("cache", 3600, row={"id": 1}), 0, late * 1000)
        _, values = arguments([record])
        assert values[2:4] == [left, 7 * 86_400_000], "its position stays as long as ever"


def test_a_document_expires_when_it_would_have() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    record = lived(of_a("cache", 8 * 86400, "mongodb", {"id": 1}), 0, 86_400_000)
    document = decode(ready(0, record, layout_of(record.target, SCHEMA), now).document.raw, CodecOptions(tz_aware=True))
    assert document[UNTIL] == now + timedelta(days=7)
