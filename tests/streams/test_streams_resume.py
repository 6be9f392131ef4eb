"""Reading on inside a transaction: its first rows are not told again, and it must be what the server sends first."""

import pytest
from streams_events import CAPTURED, COLLATIONS
from streams_readers import NATIVE, Outcome, World, packets, topology
from test_streams_native import BEGIN, XID

from changes.errors import Misconfigured
from changes.progress import Partial
from streams.capture.batch import Beginning
from streams.capture.plain import PlainReader

ENGINES = ["python", pytest.param("native", marks=NATIVE)]
FIRST = "c56fc16a-e5bd-11f1-81f2-02fc00000001:13"
STREAM = [CAPTURED["gtid"][0], BEGIN, CAPTURED["table_map"][0], *CAPTURED["write_rows"], XID]


def read(engine: str, partial: Partial | None) -> Outcome:
    world = World(topology("kinds", "everything"), COLLATIONS, partial=partial)
    if engine == "native":
        return world.outcomes([packets(STREAM)])[1]
    reader = PlainReader(world.layouts(), Beginning(world.executed, 1, 77, "bin.000001", 4, partial))
    return world.outcome(reader, [packets(STREAM)])


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_that_are_in_kafka_are_passed_over(engine: str) -> None:
    whole = read(engine, None)
    assert len(whole.records) > 1
    for done in range(len(whole.records) + 1):
        found = read(engine, Partial(FIRST, {"everything": done}))
        assert found.error is None
        assert [position for *_, position, _ in found.records] == [position for *_, position, _ in whole.records[done:]]
        assert found.rows == len(whole.records) - done


@pytest.mark.parametrize("engine", ENGINES)
def test_another_transaction_before_the_half_written_one_is_refused(engine: str) -> None:
    found = read(engine, Partial(f"{FIRST}9", {"everything": 1}))
    assert found.records == []
    assert found.error == (
        Misconfigured,
        f"capture has written the first rows of transaction {FIRST}9, and the server sends {FIRST} before it: its "
        "binlog has another order (SET PERSIST replica_preserve_commit_order = ON on replicas); "
        "`tailrace epoch raise` begins a new epoch with a new snapshot",
    )
