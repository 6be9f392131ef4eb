"""The SQL sink, in dialects: one table per target, a side table of tombstones, every write guarded by position.

A dialect may serve several databases, each a sink of its own name: the special databases of a platform are these.
"""

from sinks.sql.mysql import mysql
from sinks.sql.postgres import postgres
from sinks.sql.sqlite import SQLITE

POSTGRES, AI_IDENTITY = postgres("postgres"), postgres("ai_identity")
DAO, CREDIT = mysql("dao"), mysql("credit")

__all__ = ["AI_IDENTITY", "CREDIT", "DAO", "POSTGRES", "SQLITE"]
