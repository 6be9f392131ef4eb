"""How many refusals stop a lane."""

from streams.deliver.threshold import BATCHES, MOST, ROWS, WINDOW, Refusals


def test_a_few_bad_rows_among_good_ones_are_only_bad_rows() -> None:
    refusals = Refusals()
    for start in range(0, 10 * WINDOW, 50):
        refused = range(start, start + 5)
        assert refusals.too_many(50, refused) == ""
        refusals.took(50, refused)


def test_more_than_a_hundred_of_the_last_thousand_are_too_many() -> None:
    refusals = Refusals()
    assert refusals.too_many(500, range(MOST)) == ""
    assert refusals.too_many(500, range(MOST + 1)) == f"{MOST + 1} of the last 500 records are refused"
    refusals.took(500, range(MOST))
    assert refusals.too_many(400, [1]) == f"{MOST + 1} of the last 900 records are refused"
    for _ in range(3):
        refusals.took(400, [])
    assert refusals.too_many(400, [1]) == ""


def test_a_large_batch_may_have_as_large_a_share() -> None:
    assert Refusals().too_many(5000, range(500)) == ""
    assert Refusals().too_many(5000, range(501)) == "501 of the last 5000 records are refused"


def test_batches_of_which_nothing_is_taken_are_too_many_once_they_are_of_enough_rows() -> None:
    refusals = Refusals()
    for row in range(ROWS - 1):
        assert refusals.too_many(1, [row]) == ""
        refusals.took(1, [row])
    each = ROWS // BATCHES + 1
    refusals = Refusals()
    for batch in range(BATCHES - 1):
        rows = range(batch * each, (batch + 1) * each)
        assert refusals.too_many(each, rows) == ""
        refusals.took(each, rows)
    last = range(BATCHES * each, (BATCHES + 1) * each)
    assert refusals.too_many(each, last) == f"every record of the last {BATCHES} batches is refused"
    refusals.took(1, [])
    assert refusals.too_many(each, last) == "", "something was taken in between"


def test_one_row_that_is_refused_again_and_again_stops_nobody() -> None:
    refusals = Refusals()
    for _ in range(50):
        assert refusals.too_many(1, ["poison"]) == ""
        refusals.took(1, ["poison"])


def test_a_batch_that_is_too_large_a_refusal_is_not_counted_until_it_is_parked() -> None:
    refusals = Refusals()
    assert refusals.too_many(200, range(200))
    assert refusals.too_many(200, []) == ""
    refusals.took(0, [])
    refusals.took(200, range(200))
    assert refusals.too_many(10, [1])
