"""Who may ask the console for what: decided by the request's headers alone. Pure.

A page on the internet can have a browser send requests to a loopback address (cross-site requests), and can have its
own name answer with a loopback address, so as to read what comes back (DNS rebinding). So the ``Host`` of every
request must be a loopback name, and whatever changes something must come from the console's own page (``Origin``)
and bring the token that was printed when the console was started.
"""

import hmac
import ipaddress
from collections.abc import Mapping
from typing import NamedTuple

TOKEN_HEADER = "x-tailrace-token"  # noqa: S105 - the header's name

SAFE_METHODS = frozenset({"GET", "HEAD"})

ELSEWHERE = frozenset({"cross-site", "same-site"})
"""What browsers say in ``Sec-Fetch-Site`` of a request that another site, or another port of this machine, makes."""

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
REPORT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
"""For an audit's report, which is one file with its style inside; it runs nothing and asks for nothing."""

HEADERS: Mapping[str, str] = {
    "content-security-policy": PAGE_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Refused(NamedTuple):
    """An HTTP status, and why."""

    status: int
    reason: str


def is_loopback(host: str) -> bool:
    """Whether a host name or address, without a port, can only be this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def host_of(header: str) -> str:
    """A ``Host`` header without its port."""
    name, colon, port = header.rpartition(":")
    return name if colon and port.isdigit() else header


def refusal(method: str, headers: Mapping[str, str], token: str | None) -> Refused | None:
    """Why a request is not answered; ``None`` where it is. ``headers`` by lower-case name; ``token`` is ``None`` where
    the console is read-only. Tokens are compared in constant time."""
    host, origin = headers.get("host", ""), headers.get("origin")
    if not is_loopback(host_of(host)):
        return Refused(421, "the console answers to a loopback address only")
    if origin is not None and origin != f"http://{host}":
        return Refused(403, "the request comes from another page")
    if headers.get("sec-fetch-site") in ELSEWHERE and headers.get("sec-fetch-mode") != "navigate":
        return Refused(403, "the request comes from another page")
    return None if method in SAFE_METHODS else _change_refusal(headers, token)


def _change_refusal(headers: Mapping[str, str], token: str | None) -> Refused | None:
    """Likewise, of a request that changes something."""
    if token is None:
        return Refused(403, "the console is read-only: start it with --write")
    if "origin" not in headers:
        return Refused(403, "the request does not say which page it comes from")
    if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return Refused(415, "the request's body must be JSON")
    if not hmac.compare_digest(headers.get(TOKEN_HEADER, "").encode(), token.encode()):
        return Refused(401, "the token is wrong: it was printed when the console was started")
    return None
