"""The errors of Tailrace: a small closed tree, so that whoever catches one knows what may be done about it.

::

    TailraceError
    ├── Transient      nothing is known to have happened; the same call may succeed later
    ├── Rejected       this one record cannot be stored, now or later, though its neighbours can
    └── Misconfigured  somebody must change a declaration, a grant or a server setting

Sinks and readers only classify. Retrying, backing off and parking happen in ``streams/deliver``; the command
line turns `Misconfigured` into exit code 78.
"""


class TailraceError(Exception):
    """Base of every error that Tailrace raises on purpose."""


class Transient(TailraceError):
    """Nothing is known about the outcome: a store is away, a connection broke, a lock timed out.

    ``retry_after`` is the wait in seconds that the other side asked for, or ``None`` where it asked for none.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Rejected(TailraceError):
    """A record that its store refuses for what it contains."""


class Misconfigured(TailraceError):
    """A declaration, a grant or a server setting is wrong.

    The message names what is wrong (identifiers in backticks), where, and what to do about it.
    """
