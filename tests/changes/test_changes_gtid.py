"""Executed transactions: MySQL's interval sets and MariaDB's one domain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changes.errors import Misconfigured
from changes.gtid import MariadbGtids, MysqlGtids

A = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
B = "a0000000-0000-0000-0000-00000000000b"

owners = st.sampled_from([A, B, f"{A}:blue", f"{B}:blue", f"{B}:green_1"])
transactions = st.tuples(owners, st.integers(1, 30))
histories = st.lists(transactions, max_size=60)


def name(transaction: tuple[str, int]) -> str:
    return f"{transaction[0]}:{transaction[1]}"


def gtids(history: list[tuple[str, int]]) -> MysqlGtids:
    made = MysqlGtids()
    for transaction in history:
        made.add(name(transaction))
    return made


@given(histories)
def test_a_set_counts_and_holds_exactly_the_transactions_added_in_any_order(history: list[tuple[str, int]]) -> None:
    made, model = gtids(history), set(history)
    assert made.ordinal == len(model)
    for owner in (A, B, f"{A}:blue", f"{A}:green_1"):
        for number in range(1, 32):
            assert made.holds(f"{owner}:{number}") == ((owner, number) in model)


@given(histories, histories)
def test_a_set_covers_exactly_its_subsets(one: list[tuple[str, int]], two: list[tuple[str, int]]) -> None:
    assert gtids(one).covers(gtids(two)) == (set(one) >= set(two))
    assert gtids(one + two).covers(gtids(two))


@given(histories)
def test_the_text_reads_back_to_an_equal_set(history: list[tuple[str, int]]) -> None:
    made = gtids(history)
    again = MysqlGtids(str(made))
    assert again == made
    assert again.ordinal == made.ordinal
    assert str(again) == str(made)


@given(histories)
def test_the_order_of_adding_leaves_no_trace(history: list[tuple[str, int]]) -> None:
    assert str(gtids(history)) == str(gtids(sorted(history))) == str(gtids(history[::-1]))


@given(histories, transactions)
def test_a_copy_is_independent(history: list[tuple[str, int]], more: tuple[str, int]) -> None:
    made = gtids(history)
    copy = made.copy()
    copy.add(name(more))
    assert str(made) == str(gtids(history))
    assert copy == gtids([*history, more])
    assert made.ordinal == len(set(history))


@pytest.mark.parametrize(
    ("text", "printed", "ordinal"),
    [
        ("", "", 0),
        (f"{A}:1", f"{A}:1", 1),
        (f"{A}:1-5", f"{A}:1-5", 5),
        (f"{A}:1-5:7-9", f"{A}:1-5:7-9", 8),
        (f"{A}:1-5:6-9", f"{A}:1-9", 9),
        (f"{A}:7:1-3:2-5", f"{A}:1-5:7", 6),
        (f"{A}:1-2,\n{B}:4", f"{A}:1-2,{B}:4", 3),
        (f" {A.upper()} : 1 - 3 ", f"{A}:1-3", 3),
        (f"{A}:1-2:blue:1-3:9:green:4", f"{A}:1-2:blue:1-3:9:green:4", 7),
        (f"{A}:blue:1,{A}:1-2", f"{A}:1-2:blue:1", 3),
        (f"{A}:BLUE:1", f"{A}:blue:1", 1),
    ],
)
def test_mysqls_text_forms_are_read_and_printed_as_mysql_prints_them(text: str, printed: str, ordinal: int) -> None:
    made = MysqlGtids(text)
    assert str(made) == printed
    assert made.ordinal == ordinal


def test_a_tag_is_another_source() -> None:
    made = MysqlGtids(f"{A}:1-3:blue:5")
    assert made.holds(f"{A}:blue:5")
    assert not made.holds(f"{A}:5")
    assert not made.covers(MysqlGtids(f"{A}:blue:1"))


def test_adding_one_transaction_twice_changes_nothing() -> None:
    made = MysqlGtids(f"{A}:1-3")
    made.add(f"{A}:3")
    made.add(f"{A}:1")
    assert (str(made), made.ordinal) == (f"{A}:1-3", 3)


def test_filling_a_gap_joins_its_neighbours() -> None:
    made = MysqlGtids(f"{A}:1-3:5-7")
    made.add(f"{A}:4")
    assert str(made) == f"{A}:1-7"


def test_the_wire_form_of_a_set_is_mysqls() -> None:
    """A count, then of each source its 16 bytes, its number of intervals, and each interval with its end excluded."""
    expected = (
        "0200000000000000"  # sources
        "3e11fa4771ca11e19e33c80aa9429562"
        "0200000000000000"  # intervals
        "01000000000000000600000000000000"  # 1-5
        "07000000000000000800000000000000"  # 7
        "a000000000000000000000000000000b"
        "0100000000000000"
        "04000000000000000500000000000000"  # 4
    )
    assert MysqlGtids(f"{A}:1-5:7,{B}:4").encode().hex() == expected


def test_the_wire_form_of_a_set_with_tags_is_that_of_mysql_8_3() -> None:
    """The format number stands in the first and the last byte of the count, a tag behind twice its length."""
    expected = (
        "0102000000000001"  # format 1, two sources
        "3e11fa4771ca11e19e33c80aa9429562"
        "00"  # no tag
        "0100000000000000"
        "01000000000000000300000000000000"  # 1-2
        "3e11fa4771ca11e19e33c80aa9429562"
        "08626c7565"  # blue
        "0100000000000000"
        "05000000000000000600000000000000"  # 5
    )
    assert MysqlGtids(f"{A}:1-2:blue:5").encode().hex() == expected


def test_the_wire_form_of_nothing_is_a_count_of_zero() -> None:
    assert MysqlGtids().encode() == bytes(8)


def test_mariadb_counts_by_its_sequence_number() -> None:
    made = MariadbGtids("0-1-41")
    made.add("0-1-42")
    assert (made.ordinal, str(made)) == (42, "0-1-42")
    assert made.holds("0-1-42")
    assert made.holds("0-9-7")
    assert not made.holds("0-1-43")


def test_mariadb_starts_at_nothing() -> None:
    made = MariadbGtids("")
    assert (made.ordinal, str(made), made.holds("0-1-1")) == (0, "", False)
    made.add("0-1-1")
    assert made == MariadbGtids("0-1-1")


def test_mariadb_never_goes_back() -> None:
    made = MariadbGtids("0-1-42")
    made.add("0-2-40")
    assert str(made) == "0-1-42"


@given(st.integers(0, 99), st.integers(0, 99))
def test_mariadb_covers_what_is_not_further(one: int, other: int) -> None:
    assert MariadbGtids(f"0-1-{one}").covers(MariadbGtids(f"0-2-{other}")) == (one >= other)


def test_a_copy_of_mariadbs_is_independent() -> None:
    made = MariadbGtids("0-1-4")
    copy = made.copy()
    copy.add("0-1-5")
    assert (str(made), str(copy)) == ("0-1-4", "0-1-5")


def test_mariadb_with_several_domains_is_refused_with_the_setting_to_change() -> None:
    with pytest.raises(Misconfigured, match=r"several GTID domains \(`0-1-4, 1-1-9`\): set one `gtid_domain_id`"):
        MariadbGtids("0-1-4, 1-1-9")


def test_a_mariadb_transaction_of_another_domain_is_refused() -> None:
    with pytest.raises(Misconfigured, match=r"several GTID domains \(`0-1-4`, `1-1-5`\)"):
        MariadbGtids("0-1-4").add("1-1-5")
