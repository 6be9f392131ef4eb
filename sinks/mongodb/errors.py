"""What the errors of pymongo and the codes of MongoDB's servers mean for us.

The codes are those of the server's ``error_codes.yml``; some that are older have a number only.
"""

from collections.abc import Mapping
from typing import Any

from pymongo.errors import ConfigurationError, InvalidName, OperationFailure, PyMongoError

from changes.errors import Misconfigured, Rejected, TailraceError, Transient

DUPLICATE_KEY = 11000

_MISCONFIGURED = {
    *(11, 13, 18, 31, 33, 8000),  # no such user or role, not allowed, not authenticated
    *(20, 59, 72, 73, 115, 303, 40324),  # an operation, a command, an option, a name or a stage that it does not take
    *(26, 166, 167),  # a collection that is missing, or a view
    *(67, 85, 86),  # an index that cannot be made, or has other options
    *(79, 100),  # a write concern that no set of these servers can meet
}
_REJECTED = {
    *(2, 9, 14, 15, 22),  # a bad value, a wrong type, too deep, no BSON
    *(52, 53, 54, 55, 56, 57, 66),  # a name or an `_id` that a document cannot have
    *(121, 171, 241),  # the collection's validator, its indexes or its conversions refuse the document
    *(10334, 17280, 17419, 17420),  # the document, or what it has for an index, is too large
    *(13026, 16755, 16766),  # what an index on places takes for no place
}


def classify(error: PyMongoError | OSError) -> TailraceError:
    """Whatever is not known to be the set-up is `Transient`: broken connections, time that ran out, a primary that
    stepped down or is not there yet, a write concern that was not met, a cursor that the server gave up, a view that
    another process makes at the same moment.

    What is wrong with a record is told by `refusal`, write by write. No message holds the connection's URL.
    """
    text = f"MongoDB: {str(error) or type(error).__name__}"
    if isinstance(error, (ConfigurationError, InvalidName)):
        return Misconfigured(text)
    if isinstance(error, OperationFailure):
        return of_code(error.code, text)
    return Transient(text)


def of_code(code: int | None, text: str) -> TailraceError:
    return Misconfigured(text) if code in _MISCONFIGURED else Transient(text)


def taken(failure: Mapping[str, Any]) -> bool:
    """Whether a write of a bulk failed for there was a document with its ``_id``."""
    if failure["code"] != DUPLICATE_KEY:
        return False
    pattern = failure.get("keyPattern")
    return dict(pattern) == {"_id": 1} if pattern else "index: _id_ " in failure["errmsg"]


def refusal(failure: Mapping[str, Any]) -> TailraceError:
    """What a write of a bulk failed for: `Rejected` where it is about its document."""
    text = f"MongoDB: {failure['errmsg']} (code {failure['code']})"
    if failure["code"] == DUPLICATE_KEY or failure["code"] in _REJECTED:
        return Rejected(text)
    return of_code(failure["code"], text)
