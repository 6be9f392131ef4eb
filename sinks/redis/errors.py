"""What the errors of redis-py mean for us."""

from redis import exceptions

from changes.errors import Misconfigured, TailraceError, Transient

_MISCONFIGURED = (
    exceptions.AuthenticationError,
    exceptions.NoPermissionError,
    exceptions.MovedError,  # a cluster: the keys of one call must be on one server
    exceptions.ClusterCrossSlotError,
)
_MISCONFIGURED_TEXTS = (
    "AUTH",
    "Client sent AUTH",
    "DB index is out of range",
    "invalid DB index",
    "unknown command",
)


def classify(error: exceptions.RedisError | OSError) -> TailraceError:
    """Whatever is not known to be the set-up is `Transient`: a connection that broke, OOM, LOADING, READONLY,
    MASTERDOWN, BUSY, MISCONF (a disk that is full), NOREPLICAS. Data is refused by the script, record by record.

    No message holds the connection's URL.
    """
    text = f"Redis: {str(error) or type(error).__name__}"
    if isinstance(error, _MISCONFIGURED):
        return Misconfigured(text)
    if isinstance(error, exceptions.ResponseError) and str(error).startswith(_MISCONFIGURED_TEXTS):
        return Misconfigured(text)
    return Transient(text)
