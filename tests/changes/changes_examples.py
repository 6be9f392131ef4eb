"""Small schemas and targets that tests of the vocabulary share."""

from typing import Any

from changes.schema import Column, Kind, TableSchema
from changes.target import Target
from changes.tier import DEFAULT_TIERS

NOTES = TableSchema(
    "jobfirst_future",
    "notes",
    (
        Column("id", Kind.INTEGER, "bigint", False),
        Column("user_id", Kind.INTEGER, "bigint", False),
        Column("text", Kind.TEXT, "text"),
        Column("phone", Kind.TEXT, "varchar(20)"),
    ),
    ("id",),
)


def target(**changed: Any) -> Target:
    """Notes in one file per user."""
    declared: dict[str, Any] = {
        "version": "future",
        "database": "jobfirst_future",
        "table": "notes",
        "key": ("id",),
        "sink": "sqlite",
        "tier": DEFAULT_TIERS["local"],
        "place": "notes",
        "user": "user_id",
    }
    return Target(**(declared | changed))
