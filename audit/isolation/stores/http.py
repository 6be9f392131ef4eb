"""What the two stores that are asked over HTTP have in common."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

import httpx

from audit.isolation.stores.answers import INSIDE, Answer
from changes.errors import Misconfigured

_SECONDS = 60.0

Ca = Callable[[str], str | None]
"""The file of the authority to be trusted, from a URL's query; ``None`` for those of the system."""


@contextmanager
def client(
    url: str, *, ca: Ca = lambda _: None, bearer: bool = False, port: int | None = None
) -> Iterator[httpx.Client]:
    """``bearer``: the password is a key. Raises `Misconfigured` where the URL cannot be read."""
    try:
        parts = urlsplit(url)
        base = f"{parts.scheme}://{parts.hostname}:{parts.port or port or (443 if parts.scheme == 'https' else 9200)}"
        user, secret = unquote(parts.username or ""), unquote(parts.password or "")
    except ValueError as error:  # its text may hold a part of the password
        raise Misconfigured("the URL cannot be read") from error
    headers = {"authorization": f"Bearer {secret}"} if bearer and secret else {}
    auth = (user, secret) if not bearer and (user or secret) else None
    with httpx.Client(
        base_url=base + parts.path.rstrip("/"),
        headers=headers,
        auth=auth,
        timeout=_SECONDS,
        verify=ca(parts.query) or True,
        trust_env=False,
    ) as http:
        yield http


def refused(url: str, path: str, *, ca: Ca = lambda _: None, bearer: bool = False, port: int | None = None) -> Answer:
    """What a server says to a request for something that only who is inside may see."""
    try:
        with client(url, ca=ca, bearer=bearer, port=port) as http:
            answer = http.get(path)
    except (httpx.HTTPError, Misconfigured) as error:
        return Answer("unknown", str(error) or type(error).__name__)
    if answer.is_success:
        return INSIDE
    said = f"HTTP {answer.status_code}"
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        return Answer("refused", said)
    return Answer("barred" if answer.status_code == httpx.codes.FORBIDDEN else "unknown", said)
