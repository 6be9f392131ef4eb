"""Which tables change in secret with which, and what is said of those that may not."""

import pytest
from streams_readers import topology

from streams.cascades import Acting, Followers, followers, problems


def key(table: str, parent: str, *, delete: str = "CASCADE", update: str = "RESTRICT", of: str = "id") -> Acting:
    return Acting(table, f"f_{table}", delete, update, "shop", parent, ((f"{parent}_id", of),))


EMULATED = ("cascades: emulate",)
TABLES = topology("shop", "a", "b", "c", "d", more=EMULATED)


def sets(*deletes: str, keys: tuple[str, ...] = (), updates: tuple[str, ...] = ()) -> Followers:
    return Followers(frozenset(deletes), frozenset(keys), frozenset(updates))


def test_a_childs_children_follow_with_it() -> None:
    assert followers([key("b", "a"), key("c", "b"), key("d", "c", delete="SET NULL")], TABLES) == {
        "a": sets("b", "c", "d"),
        "b": sets("c", "d"),
        "c": sets("d"),
    }


def test_a_table_may_follow_itself() -> None:
    assert followers([key("a", "a"), key("b", "a")], TABLES) == {"a": sets("a", "b")}


def test_updates_count_only_where_a_key_acts_on_them() -> None:
    by_key = key("b", "a", delete="RESTRICT", update="CASCADE")
    by_other = key("c", "a", delete="RESTRICT", update="SET NULL", of="code")
    assert followers([by_key, by_other], TABLES) == {"a": sets(keys=("b",), updates=("c",))}


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (None, 1, set()),
        (1, None, {"b"}),
        (1, 1, {"d"}),
        (1, 2, {"c", "d"}),
    ],
)
def test_what_a_change_of_the_parent_may_have_changed(before: int | None, after: int | None, found: set[str]) -> None:
    assert sets("b", keys=("c",), updates=("d",)).of(before, after) == found


def test_a_key_that_acts_is_refused_unless_it_is_emulated() -> None:
    refused = problems([key("b", "a")], topology("shop", "a", "b"), "future")
    assert refused == [
        "foreign key `f_b` of `b` changes its rows without a row event (ON DELETE CASCADE, ON UPDATE RESTRICT): "
        "ALTER TABLE `b` DROP FOREIGN KEY `f_b`; ALTER TABLE `b` ADD CONSTRAINT `f_b` FOREIGN KEY (`a_id`) "
        "REFERENCES `shop`.`a` (`id`), so that whoever changes the parent changes these rows by statements of their"
        " own; or declare `cascades: emulate`; or upgrade to MySQL 9.6"
    ]
    assert problems([key("b", "a")], TABLES, "future") == []


def test_to_emulate_a_key_its_parent_must_be_captured() -> None:
    (refused,) = problems([key("b", "a")], topology("shop", "b", more=EMULATED), "future")
    assert "and its parent `shop`.`a` is not captured, as `cascades: emulate` needs: declare it, or ALTER" in refused
