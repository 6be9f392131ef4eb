"""Looking again for a person that was erased, by the receipt alone: the second stage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from audit.erasure import telling
from audit.erasure.looking import Looking
from audit.erasure.run import Erasing
from audit.erasure.subject import Subject, Subjects
from audit.receipt import Receipt, named, overall, public_of, signed, written


@dataclass(frozen=True)
class Again:
    """What a second look found. ``receipts`` are signed; ``keys`` are those of rows, by table, that records which newer
    ones supersede still tell of."""

    receipts: list[Receipt]
    keys: Mapping[str, set[bytes]]


def is_ours(receipt: Receipt, erasing: Erasing) -> bool:
    """Whether this installation's key signed it: with another one nothing can be looked for."""
    return receipt.public_key == public_of(erasing.secret.signing) and receipt.version == erasing.version


async def look_again(erasing: Erasing, receipts: Sequence[Receipt]) -> Again:
    """Look for all that these receipts say was looked for; a place that is away is undecided. Raises `Misconfigured`,
    and `Transient` where MySQL is away."""
    began = telling.at(erasing.clock())
    people = [Subject.of(receipt.who, receipt.sought) for receipt in receipts]
    subjects = Subjects(erasing.version, erasing.secret, erasing.steps(), people)
    looking = Looking(erasing.topology, erasing.version, erasing.endpoints, subjects, erasing.folders, {}, erasing.tell)
    seen = await looking.everywhere()
    ended = telling.at(erasing.clock())
    found = []
    for receipt in receipts:
        places = [place.of(receipt.who) for place in seen]
        second = msgspec.structs.replace(
            receipt,
            stage=2,
            began=began,
            ended=ended,
            verdict=overall(places),
            tables=[],
            followed=[],
            places=places,
            came_back={},
            previous=named(written(receipt)),
        )
        found.append(signed(second, erasing.secret.signing))
    return Again(found, looking.keys)
