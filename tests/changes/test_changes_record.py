"""Records, outcomes and targets: what is stored beside a row."""

import pytest
from changes_examples import NOTES, target

from changes.key import key_of
from changes.record import RESERVED, Outcome, Record, rejected


def test_the_reserved_fields_hold_position_hash_halves_bucket_and_mapping() -> None:
    key = key_of(NOTES, {"id": 1})
    record = Record(target(), key, 77, None, 0xFFFFFFFF_00000001, NOTES)
    assert record.reserved == {
        "_tr_pos": 77,
        "_tr_h1": 0xFFFFFFFF,
        "_tr_h2": 1,
        "_tr_bucket": key.bucket,
        "_tr_map": target().mapping,
    }
    assert tuple(record.reserved) == RESERVED


def test_a_refusal_carries_the_stores_words() -> None:
    assert rejected(ValueError("too long")) == Outcome("rejected", "too long")


@pytest.mark.parametrize(
    "changed",
    [
        {"place": "elsewhere"},
        {"keep": "cache"},
        {"user": None},
        {"keep_for": 60},
        {"hidden": frozenset({"phone"})},
        {"only": frozenset({"text"})},
        {"only": frozenset()},
    ],
    ids=str,
)
def test_the_mapping_version_changes_with_what_is_stored(changed: dict[str, object]) -> None:
    assert target(**changed).mapping != target().mapping


@pytest.mark.parametrize("changed", [{"version": "dao"}, {"sink": "redis"}, {"tombstones_for": 1}], ids=str)
def test_the_mapping_version_stays_with_what_is_not_stored(changed: dict[str, object]) -> None:
    assert target(**changed).mapping == target().mapping


def test_the_mapping_version_fits_a_signed_32_bit_integer_and_is_frozen() -> None:
    some = target(hidden=frozenset({"b", "a"}), only=frozenset({"d", "c"}))
    assert some.mapping == 580_747_818
    assert target().mapping == 2_089_361_563
    assert 0 <= some.mapping < 2**31
