"""Looking again for a person that was erased, by the receipt alone: the second stage."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from audit.erasure import telling
from audit.erasure.looking import Looking
from audit.erasure.run import Erasing
from audit.erasure.subject import Subject, Subjects
from audit.receipt import Receipt, named, overall, public_of, signed, written


@dataclass(frozen=True)
class Again:
    """What a second look found. ``receipt`` is signed; ``keys`` are those of rows, by table, that records which newer
    ones supersede still tell of."""

    receipt: Receipt
    keys: Mapping[str, set[bytes]]


def is_ours(receipt: Receipt, erasing: Erasing) -> bool:
    """Whether this installation's key signed it: with another one nothing can be looked for."""
    return receipt.public_key == public_of(erasing.secret.signing) and receipt.version == erasing.version


async def look_again(erasing: Erasing, receipt: Receipt) -> Again:
    """Look for all that the receipt says was looked for; a place that is away is undecided. Raises `Misconfigured`."""
    began, one = erasing.clock(), Subject.of(receipt.who, receipt.sought)
    subjects = Subjects(erasing.version, erasing.secret, erasing.steps(), [one])
    looking = Looking(erasing.topology, erasing.version, erasing.endpoints, subjects, erasing.folders, {}, erasing.tell)
    places = [place.of(receipt.who) for place in await looking.everywhere()]
    second = msgspec.structs.replace(
        receipt,
        stage=2,
        began=telling.at(began),
        ended=telling.at(erasing.clock()),
        verdict=overall(places),
        tables=[],
        followed=[],
        places=places,
        came_back={},
        previous=named(written(receipt)),
    )
    return Again(signed(second, erasing.secret.signing), looking.keys)
