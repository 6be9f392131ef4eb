"""Positions: one integer that orders a version's history, and its 19 digits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changes import position
from changes.errors import Misconfigured

epochs = st.integers(0, position.LAST_EPOCH)
transactions = st.integers(0, position.LAST_TRANSACTION)
rows = st.integers(0, position.LAST_ROW)
places = st.tuples(epochs, transactions, rows)


@given(places)
def test_unpacking_gives_back_what_was_packed(place: tuple[int, int, int]) -> None:
    assert position.unpack(position.pack(*place)) == place


@given(places, places)
def test_positions_order_like_epoch_transaction_row(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    assert (position.pack(*one) < position.pack(*other)) == (one < other)


@given(places, places)
def test_the_text_orders_like_the_number(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    a, b = position.pack(*one), position.pack(*other)
    assert (position.to_text(a) < position.to_text(b)) == (a < b)


@given(places)
def test_the_text_has_nineteen_digits_and_reads_back(place: tuple[int, int, int]) -> None:
    packed = position.pack(*place)
    text = position.to_text(packed)
    assert len(text) == 19
    assert position.from_text(text) == position.from_text(text.encode()) == packed


@given(epochs, transactions, rows)
def test_a_snapshot_stands_after_every_row_of_its_transaction(epoch: int, transaction: int, row: int) -> None:
    assert position.pack(epoch, transaction, row) < position.snapshot(epoch, transaction)


@given(epochs, st.integers(0, position.LAST_TRANSACTION - 1))
def test_a_snapshot_stands_before_the_next_transaction(epoch: int, transaction: int) -> None:
    assert position.snapshot(epoch, transaction) < position.pack(epoch, transaction + 1, 0)


def test_rows_beyond_the_last_ordinal_share_it_and_stay_below_a_snapshot() -> None:
    last = position.pack(0, 7, position.LAST_ROW)
    assert position.pack(0, 7, position.LAST_ROW + 1) == position.pack(0, 7, 10**9) == last
    assert last == position.snapshot(0, 7) - 1


def test_the_greatest_position_is_the_greatest_signed_64_bit_integer() -> None:
    assert position.snapshot(position.LAST_EPOCH, position.LAST_TRANSACTION) == 2**63 - 1


def test_the_layout_is_frozen() -> None:
    assert position.pack(1, 2, 3) == 1 << 58 | 2 << 20 | 3
    assert position.to_text(position.pack(0, 1, 0)) == "0000000000001048576"


@pytest.mark.parametrize(
    ("epoch", "transaction", "message"),
    [
        (32, 0, "epoch 32 is outside 0..31"),
        (-1, 0, "epoch -1 is outside 0..31"),
        (0, 2**38, "transaction ordinal 274877906944 is outside 0..274877906943"),
        (0, -1, "transaction ordinal -1 is outside 0..274877906943"),
    ],
)
def test_what_does_not_fit_is_refused(epoch: int, transaction: int, message: str) -> None:
    with pytest.raises(Misconfigured, match=f"^{message}$"):
        position.pack(epoch, transaction, 0)


@pytest.mark.parametrize(
    "text", ["", "1", "0" * 18, "0" * 20, "+" + "0" * 18, "-" + "0" * 18, "1_0" + "0" * 16, b"x" * 19, "٣" * 19]
)
def test_text_of_another_form_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match="a position has 19 digits"):
        position.from_text(text)
