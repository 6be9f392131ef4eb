"""A statement with its arguments, ready for a driver: what the pure files hand to those that do I/O."""

from dataclasses import dataclass

from tailrace.example.table import Value


@dataclass(frozen=True)
class Statement:
    """`text` has a `%s` for each of `values`. Rows changed by a bookkeeping statement are not counted."""

    text: str
    values: tuple[Value, ...]
    bookkeeping: bool = False


def insert_text(table: str, columns: tuple[str, ...]) -> str:
    """`INSERT … VALUES (%s, …)`, in the form that pymysql's `executemany` turns into multi-row inserts."""
    return f"INSERT INTO `{table}` ({listed(columns)}) VALUES ({', '.join(['%s'] * len(columns))})"  # noqa: S608 - own names


def listed(columns: tuple[str, ...]) -> str:
    """The column names, quoted, with commas."""
    return ", ".join(f"`{column}`" for column in columns)
