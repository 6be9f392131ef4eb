"""Where a change stands in its version's history, as one integer that grows along it.

Layout (63 bits, so it fits every store's signed 64-bit integer)::

    epoch (5) | transaction ordinal (38) | row ordinal (20)

The *transaction ordinal* is the number of transactions executed up to and including this one, in binlog order:
it is the same on every replay and on every server that holds the same history, unlike file and offset. The
*row ordinal* counts the rows of one table in one transaction from 0 and saturates at `LAST_ROW`, so that rows
beyond share a position (a guard is ``stored <= new``: the later one still lands). `SNAPSHOT_ROW` is kept for rows
read by a snapshot: they stand after every change of the last transaction they saw.

The *epoch* is raised by an operator after a reset, a restore or a lossy fail-over.
"""

from changes.errors import Misconfigured

EPOCH_BITS, TRANSACTION_BITS, ROW_BITS = 5, 38, 20

SNAPSHOT_ROW = (1 << ROW_BITS) - 1
LAST_ROW = SNAPSHOT_ROW - 1
LAST_TRANSACTION = (1 << TRANSACTION_BITS) - 1
LAST_EPOCH = (1 << EPOCH_BITS) - 1

TEXT_WIDTH = 19

LAST_GENERATION = 99_999
"""The greatest generation of derived data: five digits, beside a position's 19."""


def pack(epoch: int, transaction: int, row: int) -> int:
    """The position of row ``row`` (from 0) of one table in transaction ``transaction``.

    Raises `Misconfigured` where an epoch or a transaction ordinal does not fit.
    """
    if not 0 <= epoch <= LAST_EPOCH:
        raise Misconfigured(f"epoch {epoch} is outside 0..{LAST_EPOCH}")
    if not 0 <= transaction <= LAST_TRANSACTION:
        raise Misconfigured(f"transaction ordinal {transaction} is outside 0..{LAST_TRANSACTION}")
    return (epoch << TRANSACTION_BITS | transaction) << ROW_BITS | min(row, LAST_ROW)


def snapshot(epoch: int, transaction: int) -> int:
    """The position of a row read when ``transaction`` was the last one that the read could see."""
    return pack(epoch, transaction, 0) | SNAPSHOT_ROW


def unpack(position: int) -> tuple[int, int, int]:
    """``(epoch, transaction ordinal, row ordinal)``."""
    return (
        position >> (TRANSACTION_BITS + ROW_BITS),
        position >> ROW_BITS & LAST_TRANSACTION,
        position & SNAPSHOT_ROW,
    )


def to_text(position: int) -> str:
    """19 digits, zero-padded: sorts like the number, and passes unharmed through doubles and browsers."""
    return f"{position:019d}"


def from_text(text: str | bytes) -> int:
    """The inverse of `to_text`; raises `ValueError` on anything else."""
    if len(text) != TEXT_WIDTH or not text.isdigit() or not text.isascii():  # `int` takes signs and underscores too
        raise ValueError(f"a position has {TEXT_WIDTH} digits, not {text!r}")
    return int(text)
