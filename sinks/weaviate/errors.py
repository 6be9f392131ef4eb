"""What Weaviate's answers mean for us. Over gRPC it tells most in words: only the network has codes of its own."""

from changes.errors import Misconfigured, TailraceError, Transient

_REFUSED = (
    "invalid ",  # `invalid text property 'title' on class …: not a string`
    "Validate vector index",  # another number of dimensions
)
_MISCONFIGURED_CODES = ("UNAUTHENTICATED", "PERMISSION_DENIED", "UNIMPLEMENTED")
_MISCONFIGURED = (
    "unauthorized",
    "forbidden",
    "could not find class",
    "no such prop",
    "no graphql provider present",  # a server without any class
)


def classify_grpc(code: str, details: str) -> TailraceError:
    """The error for a whole call that failed with the gRPC status ``code``.

    Whatever is not known to be the set-up is `Transient`: a server that is away, slow, full or short of memory.
    """
    text = said(details or code)
    if code in _MISCONFIGURED_CODES or any(words in details.lower() for words in _MISCONFIGURED):
        return Misconfigured(text)
    return Transient(text)


def classify_http(status: int, body: str, retry_after: float | None = None) -> TailraceError:
    """The error for an answer of the schema's API: what it refuses is a declaration."""
    text = f"Weaviate: {body.strip()[:500] or 'no reason given'} (HTTP {status})"
    if 400 <= status < 500 and status not in {408, 425, 429}:
        return Misconfigured(text)
    return Transient(text, retry_after=retry_after)


def refused(error: str) -> bool:
    """Whether what was said of one object of a bulk is about its contents: then its neighbours have landed, and it
    never will. All else (a shard that is read-only for lack of disk, a time that ran out) may pass."""
    return error.startswith(_REFUSED)


def said(error: str) -> str:
    """In our words, with what to do where the server does not get over it by itself."""
    if "read-only" in error:
        error += "; once its disk has room, Weaviate has to be started again (or its shards be set READY)"
    return f"Weaviate: {error}"
