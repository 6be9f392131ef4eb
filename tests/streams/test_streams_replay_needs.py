"""What a declared place needs, as what is found there tells."""

from changes.key import key_of
from changes.record import StoredRow
from changes.schema import Column, Kind, TableSchema
from changes.target import Target
from changes.tier import DEFAULT_TIERS
from streams.replay.needs import LOOKED_AT, Need, buckets_for, judged

SCHEMA = TableSchema("shop", "jobs", (Column("id", Kind.INTEGER, "bigint", False),), ("id",))
MIRROR = Target("future", "shop", "jobs", ("id",), "postgres", DEFAULT_TIERS["realtime"], "jobs")
CACHE = Target("future", "shop", "jobs", ("id",), "redis", DEFAULT_TIERS["realtime"], "job:{id}", "cache", 3600)


def row(number: int, mapping: int) -> StoredRow:
    return StoredRow(key_of(SCHEMA, {"id": number}), "", 5, 0, mapping, {"id": number}, 0)


def test_a_place_with_rows_as_declared_needs_nothing() -> None:
    assert judged(MIRROR, [row(1, MIRROR.mapping)], 900) == Need(MIRROR, "none")
    assert judged(MIRROR, [], 0) == Need(MIRROR, "none"), "there are no rows"
    assert judged(CACHE, [], 900) == Need(CACHE, "none"), "what a cache lacks is fine"


def test_rows_of_an_earlier_declaration_are_written_again() -> None:
    found = judged(CACHE, [row(1, CACHE.mapping), row(2, CACHE.mapping + 1)], None)
    assert found == Need(CACHE, "change", "replay", "1 of 2 rows looked at were written under an earlier declaration")


def test_a_place_that_holds_nothing_of_what_passed_by_is_filled() -> None:
    assert judged(MIRROR, [], 900) == Need(
        MIRROR, "create", "replay", "it holds none of about 900 rows, and its lane is past them"
    )
    assert judged(MIRROR, [], None).action == "unknown", "nobody says how many there are"


def test_as_many_buckets_are_looked_at_as_have_some_rows() -> None:
    assert buckets_for({}) == ([], 0)
    assert buckets_for({7: 2, 3: 1}) == ([3, 7], 3)
    assert buckets_for(dict.fromkeys(range(1024), 100)) == ([0, 1, 2], LOOKED_AT)
