"""What the errors of the Neo4j driver mean for us."""

from neo4j import exceptions

from changes.errors import Misconfigured, Rejected, TailraceError, Transient

_REJECTED = (
    "Neo.ClientError.Schema.ConstraintValidationFailed",
    "Neo.ClientError.Statement.ArgumentError",
    "Neo.ClientError.Statement.ArithmeticError",
    "Neo.ClientError.Statement.PropertyNotFound",
    "Neo.ClientError.Statement.TypeError",
    "Neo.ClientError.Request.InvalidFormat",
)
_MISCONFIGURED = (
    "Neo.ClientError.Security",
    "Neo.ClientError.Database.DatabaseNotFound",
    "Neo.ClientError.Schema",  # whatever is not about a value
    "Neo.ClientError.Statement",
    "Neo.ClientError.Procedure",
)
_TRANSIENT = (
    "Neo.ClientError.Security.AuthenticationRateLimit",
    "Neo.ClientError.Security.AuthorizationExpired",
    "Neo.ClientError.Security.TokenExpired",
    "Neo.ClientError.Statement.ExternalResourceFailed",
    "Neo.ClientError.Statement.EntityNotFound",  # a node or relationship that somebody deleted meanwhile
)

THERE = (
    "Neo.ClientError.Schema.EquivalentSchemaRuleAlreadyExists",
    "Neo.ClientError.Schema.ConstraintAlreadyExists",
    "Neo.ClientError.Schema.IndexAlreadyExists",
)
"""What is said of an index that another process has made meanwhile."""


def classify(error: exceptions.Neo4jError | exceptions.DriverError | OSError) -> TailraceError:
    """Whatever is not known to be about the data or the set-up is `Transient`: broken connections, deadlocks and all
    else of ``Neo.TransientError``, transactions that took too long or were ended, a disk that is full
    (``Neo.DatabaseError``). Codes: Neo4j's manual, "Status codes".

    No message holds the connection's URL.
    """
    if isinstance(error, exceptions.Neo4jError):
        code = error.code or ""
        text = f"Neo4j: {error.message} ({code})"
        if code.startswith(_TRANSIENT):
            return Transient(text)
        if code.startswith(_REJECTED):
            return Rejected(text)
        if code.startswith(_MISCONFIGURED):
            return Misconfigured(text)
        return Transient(text)
    text = f"Neo4j: {str(error) or type(error).__name__}"
    if isinstance(error, exceptions.ConfigurationError):
        return Misconfigured(text)
    return Transient(text)
