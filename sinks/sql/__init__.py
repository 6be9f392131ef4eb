"""The SQL sink, in dialects: one table per target, a side table of tombstones, every write guarded by position."""

from sinks.sql.postgres import POSTGRES
from sinks.sql.sqlite import SQLITE

__all__ = ["POSTGRES", "SQLITE"]
