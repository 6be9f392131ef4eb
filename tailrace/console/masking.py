"""Personal columns, on their way to the page. Pure.

The agent tells neither value of a masked column. The console does not rely on it: what is marked leaves without its
values, whoever wrote them.
"""

from collections.abc import Sequence

import msgspec

from tailrace.agent.api import SideBySide


def masked(rows: Sequence[SideBySide]) -> list[SideBySide]:
    """The rows without the values of columns that are marked; whether they differ stays."""
    return [
        msgspec.structs.replace(
            row,
            columns=[
                msgspec.structs.replace(column, mysql=None, store=None) if column.masked else column
                for column in row.columns
            ],
        )
        for row in rows
    ]
