"""What traffic decides to do: reproducible, of the asked-for kind, in the asked-for share."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.example.generate import TABLES, plan
from tailrace.example.ledger import LEDGER_ROWS
from tailrace.example.moves import Ids, LedgerTouch, Moves, Transaction, changeable
from tailrace.example.statement import Statement

LOADED = plan(50_000)


def transactions(seed: int, number: int, *, share: float = 0.02, ledger: bool = False) -> list[Transaction]:
    moves = Moves(random.Random(seed), Ids(LOADED), LOADED, share_embedded=share, ledger=ledger)
    return [moves.next() for _ in range(number)]


def statements(made: list[Transaction]) -> list[Statement]:
    return [step for transaction in made for step in transaction.steps if isinstance(step, Statement)]


def is_read_by_a_model(statement: Statement) -> bool:
    table = TABLES[re.findall(r"`(\w+)`", statement.text)[0]]
    if not table.texts:
        return False
    if statement.text.startswith("UPDATE"):
        assigned = re.findall(r"`(\w+)` =", statement.text.partition(" WHERE ")[0])
        return "id" in assigned or bool(set(assigned) & set(table.texts))
    return True


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_same_seed_same_transactions(seed: int, ledger: bool) -> None:
    assert transactions(seed, 50, ledger=ledger) == transactions(seed, 50, ledger=ledger)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_each_statement_has_its_arguments(seed: int) -> None:
    for statement in statements(transactions(seed, 200, share=0.3)):
        assert statement.text.count("%s") == len(statement.values)


def test_transactions_are_of_1_to_52_steps_and_some_roll_back() -> None:
    made = transactions(1, 3000)
    sizes = [len(transaction.steps) for transaction in made]
    assert min(sizes) == 1
    assert 45 <= max(sizes) <= 52  # the last move of a transaction may take three statements
    assert 0.02 < sum(transaction.rollback for transaction in made) / len(made) < 0.04


@pytest.mark.parametrize("ledger", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 1.0])
def test_share_of_changes_that_models_read(share: float, ledger: bool) -> None:
    made = transactions(5, 4000, share=share, ledger=ledger)
    steps = sum(len(transaction.steps) for transaction in made)
    read = sum(is_read_by_a_model(statement) for statement in statements(made))
    assert read / steps == pytest.approx(share, rel=0.2, abs=0.001)


def test_every_kind_of_change_turns_up() -> None:
    texts = [statement.text for statement in statements(transactions(2, 3000, share=0.1))]
    kinds = (
        r"^INSERT INTO", r"^DELETE", r"SET `id` = %s", r"SET `(\w+)` = `\1`", r"= NULL",
        r"^UPDATE `resumes` SET `user_id`", r"^INSERT INTO `ai_messages` .* SELECT", r"^INSERT INTO `users`",
    )  # fmt: skip
    for kind in kinds:
        assert any(re.search(kind, text) for text in texts), kind


def test_the_same_key_is_inserted_deleted_and_inserted_again_also_across_transactions() -> None:
    made = transactions(4, 6000)
    singles = [transaction.steps[0] for transaction in made if len(transaction.steps) == 1]
    verbs = [step.text.split(" ")[0] for step in singles if isinstance(step, Statement)]
    again = [
        n
        for n in range(len(verbs) - 2)
        if verbs[n : n + 3] == ["INSERT", "DELETE", "INSERT"]
        and statements([Transaction((singles[n],))])[0].values[0]
        == statements([Transaction((singles[n + 1],))])[0].values[0]
    ]
    assert again


def test_a_worker_keeps_to_its_own_ledger_rows() -> None:
    owned = []
    for worker in range(3):
        moves = Moves(
            random.Random(worker), Ids(LOADED), LOADED, share_embedded=0.0, ledger=True, worker=worker, workers=3
        )
        touches = [step for _ in range(300) for step in moves.next().steps if isinstance(step, LedgerTouch)]
        assert all(touch.id != touch.other for touch in touches)
        owned.append({row_id for touch in touches for row_id in (touch.id, touch.other)})
        assert owned[-1] <= set(range(1, LEDGER_ROWS + 1))
    assert sum(len(rows) for rows in owned) == len(set.union(*owned))


def test_no_ledger_no_touches() -> None:
    assert not any(isinstance(step, LedgerTouch) for made in transactions(1, 500) for step in made.steps)


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_every_table_has_something_to_change(table: object) -> None:
    name = str(getattr(table, "name", ""))
    columns = set(changeable(TABLES[name]))
    assert columns
    assert not columns & {*TABLES[name].key, *TABLES[name].texts, "created_at", "updated_at"}


def test_share_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="share_embedded"):
        Moves(random.Random(1), Ids(LOADED), LOADED, share_embedded=1.5)


def test_ids_are_never_given_twice() -> None:
    ids = Ids({"jobs": 5})
    assert [ids.take("jobs"), ids.take("jobs")] == [6, 7]
    ids.raise_to({"jobs": 20})
    ids.raise_to({"jobs": 3})
    assert (ids.take("jobs"), ids.highest("jobs")) == (21, 21)
