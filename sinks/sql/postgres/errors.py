"""What PostgreSQL's error codes mean for us."""

from changes.errors import Misconfigured, Rejected, TailraceError, Transient

_REJECTED = (
    "21",  # cardinality violation: keys that differ to MySQL and are one to PostgreSQL; alone each of them lands
    "22",  # data exception: out of range, NUL in text, \u0000 in jsonb, a date that is none
    "23",  # integrity constraint violation
    "54",  # program limit exceeded: a key too long for its index, a text beyond 1 GB
)
_MISCONFIGURED = (
    "28",  # authorization refused
    "3D",  # no such database
    "3F",  # no such schema
    "42",  # no such table or column, not allowed, not ours
    "2B",  # something that is not ours depends on what must be replaced
)


def classify(state: str, message: str) -> TailraceError:
    """The error for an SQLSTATE of five characters (PostgreSQL's manual, appendix A).

    Whatever is not known to be about the data or about the set-up is `Transient`: broken connections (08), rolled
    back transactions (40), lack of disk, memory or connections (53), a server going down, coming up or cancelling
    (57), a cached plan that a new column has overtaken (0A), a stand-by after fail-over (25).
    """
    text = f"PostgreSQL: {message} (SQLSTATE {state})"
    if state.startswith(_REJECTED):
        return Rejected(text)
    if state.startswith(_MISCONFIGURED):
        return Misconfigured(text)
    return Transient(text)
