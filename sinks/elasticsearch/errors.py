"""What Elasticsearch's answers mean for us."""

import re
from typing import Any

import msgspec

from changes.errors import Misconfigured, Rejected, TailraceError, Transient

CONFLICT, GONE, TOO_LARGE = 409, 404, 413

_VALUES = re.compile(r"[.,]? Preview of .*", re.DOTALL)  # a message may end in the values that were refused
_LONGEST = 500


class Cause(msgspec.Struct):
    """The ``error`` of an answer, or of one item of a bulk's."""

    type: str = ""
    reason: str | None = None
    caused_by: "Cause | None" = None

    @property
    def text(self) -> str:
        """In the server's words, without the values of rows."""
        deepest = "" if self.caused_by is None else f" ({self.caused_by.text})"
        return f"{self.type}: {_VALUES.sub('', self.reason or 'no reason given')[:_LONGEST]}{deepest}"


class _Answer(msgspec.Struct):
    error: Any = None


def cause_of(body: bytes) -> Cause:
    """What an answer that is no success says; a proxy's may be any text."""
    try:
        error = msgspec.json.decode(body, type=_Answer).error
        return msgspec.convert(error, Cause) if isinstance(error, dict) else Cause(reason=str(error or ""))
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
        return Cause(reason=body[:_LONGEST].decode(errors="replace"))


def classify(status: int, cause: Cause, *, document: bool) -> TailraceError:
    """The error for an HTTP status that is no success, of a ``document`` in a bulk or else of a whole request.

    A document is refused for what it contains (400, 413), a whole request for what we are or what the server is.
    Whatever is not known to be either is `Transient`: 429 (busy, out of memory, or an index that took no more for lack
    of disk: the flood-stage watermark), 5xx (no primary shard, a node that goes down), 408.
    """
    text = f"Elasticsearch: {cause.text} (status {status})"
    if cause.type == "cluster_block_exception":  # 429 for lack of disk, 403 for what an operator has closed
        return Transient(text)
    if status == TOO_LARGE or (status == 400 and document):
        return Rejected(text)
    if status in {401, 403}:
        return Misconfigured(f"{text}: mend the user's name, password or privileges")
    if cause.type == "index_not_found_exception":
        return Misconfigured(f"{text}: somebody deleted it; restart, and it is made anew and filled by a replay")
    return Misconfigured(text) if status in {400, 404, 405, 406, 410, 415} else Transient(text)
