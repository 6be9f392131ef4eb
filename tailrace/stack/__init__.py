"""Real local servers, without Docker: MySQL, Kafka, PostgreSQL and Redis on the loopback interface."""

from tailrace.stack.errors import StackError
from tailrace.stack.stack import Stack

__all__ = ["Stack", "StackError"]
