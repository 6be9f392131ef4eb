"""The receipt of an erasure: canonical bytes, signed, holding no personal data. Pure.

A receipt's file is the canonical JSON of all its fields and a newline; the signature, Ed25519, is over the same JSON
with an empty signature. So whoever changes a byte of the file, be it a space, spoils it.
"""

import hashlib
from collections.abc import Sequence
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from audit.search.found import Trace
from audit.search.needle import Needle

FORMAT = 2
READ = (1, 2)
"""Formats that are read. In the first what is looked for is found by fewer bits, and so more slowly."""

Verdict = Literal["clean", "traces", "undecided", "due"]
"""``due``: what is left goes by itself until a date, and is looked at again then."""


class Table(msgspec.Struct, frozen=True):
    """What was done with the person's rows of a table."""

    table: str
    rows: int
    done: Literal["deleted", "cleared", "kept"]


class Place(msgspec.Struct, frozen=True):
    """What was looked through, and what came of it. ``items`` are keys, rows, pages of files or records.

    ``traces`` lists the first; ``found`` counts all. ``note`` says why it is undecided, or what is left until when.
    """

    place: str
    looked_for: Literal["values", "rows"]
    items: int
    bytes: int
    verdict: Verdict
    found: int = 0
    traces: list[Trace] = []
    note: str = ""


class Followed(msgspec.Struct, frozen=True):
    """What was taken out beside the rows."""

    what: str
    number: int


class Remains(msgspec.Struct, frozen=True):
    """What is left, knowingly, and until when: a time in UTC, empty where that is not known."""

    what: str
    until: str = ""


class Sought(msgspec.Struct, frozen=True):
    """What is looked for again later, as keyed hashes. ``keys`` are of rows, by table. ``left_out`` counts values that
    are not looked for, there being too many; ``shared`` those that others hold too."""

    needles: list[Needle] = []
    keys: dict[str, list[str]] = {}
    left_out: int = 0
    shared: int = 0


class Receipt(msgspec.Struct, frozen=True):
    """``who`` is a keyed hash of the person's id. Times are ISO 8601, UTC. ``previous`` is the SHA-256 of the receipt
    of the stage before. ``came_back`` counts rows of the person that were written since, by table. ``due`` is when the
    second stage can be decided."""

    stage: Literal[1, 2]
    version: str
    who: str
    began: str
    ended: str
    verdict: Verdict
    tables: list[Table]
    followed: list[Followed]
    places: list[Place]
    remains: list[Remains]
    outside: list[Remains]
    due: str
    sought: Sought
    came_back: dict[str, int] = {}
    previous: str = ""
    format: int = FORMAT
    kind: str = "tailrace erasure"
    public_key: str = ""
    signature: str = ""


class Refused(Exception):
    """A file that is no receipt, or not as it was signed."""


_encode = msgspec.json.Encoder(order="sorted").encode


def overall(places: Sequence[Place]) -> Verdict:
    """The worst of all: traces, undecided, due, clean."""
    verdicts = {place.verdict for place in places}
    order: tuple[Verdict, ...] = ("traces", "undecided", "due", "clean")
    return next((one for one in order if one in verdicts), "undecided")


def public_of(key: Ed25519PrivateKey) -> str:
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return raw.hex()


def signed(receipt: Receipt, key: Ed25519PrivateKey) -> Receipt:
    bare = msgspec.structs.replace(receipt, public_key=public_of(key), signature="")
    return msgspec.structs.replace(bare, signature=key.sign(_encode(bare)).hex())


def written(receipt: Receipt) -> bytes:
    """The receipt's file."""
    return _encode(receipt) + b"\n"


def opened(data: bytes) -> Receipt:
    """The receipt in a file. Raises `Refused` where it is none, or anything of it was changed since it was signed."""
    try:
        receipt = msgspec.json.decode(data, type=Receipt)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Refused(f"it is no receipt: {error}") from error
    if receipt.format not in READ:
        raise Refused(f"it is of the format {receipt.format}, and this release reads {' and '.join(map(str, READ))}")
    if written(receipt) != data:
        raise Refused("it is not written as it was signed: somebody changed it")
    bare = _encode(msgspec.structs.replace(receipt, signature=""))
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(receipt.public_key))
        key.verify(bytes.fromhex(receipt.signature), bare)
    except (ValueError, InvalidSignature) as error:
        raise Refused("its signature is not that of its contents: somebody changed it") from error
    return receipt


def named(data: bytes) -> str:
    """What a receipt of a later stage calls this one's file."""
    return hashlib.sha256(data).hexdigest()
