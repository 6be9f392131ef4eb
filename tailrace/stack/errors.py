"""What can go wrong with local servers."""

from changes.errors import TailraceError


class StackError(TailraceError):
    """A local server cannot be had, started or stopped; the message is one sentence that says what to do."""


class Unavailable(StackError):
    """A server's program cannot be had on this machine; another kind of the same server, or Docker, may do."""


class NotReady(Exception):
    """A server was asked too early; internal to the package, whoever waits for the server asks again."""
