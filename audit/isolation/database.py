"""Whether the servers of one version refuse the credentials of the others: decided from what they answered. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from audit.isolation.places import Place
from audit.isolation.report import Finding, Judged, fail, undecided
from audit.isolation.stores.answers import Answer

Who = Literal["own", "stranger", "foreign"]


@dataclass(frozen=True)
class Attempt:
    """Somebody at the door of ``at``: with its own credentials, as a stranger (a wrong password, or none where the
    kind knows servers that ask for none), or with those of ``by``, another version's place.

    What one may do inside is tried at a door too: ``what`` says what was tried, "" for coming in.
    """

    at: Place
    who: Who
    answer: Answer
    by: Place | None = None
    what: str = ""


def judged(attempts: Sequence[Attempt]) -> Judged:
    """What the attempts at the servers of one version say.

    A refusal proves something only of a server that lets its own in and refuses strangers; of any other it is
    undecided who could come in.
    """
    by_server: dict[Place, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        by_server[attempt.at].append(attempt)
    findings = [finding for at, tried in by_server.items() for finding in _server(at, tried)]
    return Judged(len(attempts), tuple(findings))


def _server(at: Place, attempts: Sequence[Attempt]) -> Iterator[Finding]:
    own = [attempt.answer for attempt in attempts if attempt.who == "own"]
    if not own or own[0].met != "inside":
        said = own[0].said if own else "nobody tried"
        yield undecided(
            f"{at.name} does not let its own credentials in, so that its refusing others means nothing: {said}",
            at.at,
            "start the server, or mend its URL, and look again",
        )
        return
    if any(attempt.answer.met != "refused" for attempt in attempts if attempt.who == "stranger"):
        stranger = next(attempt.answer for attempt in attempts if attempt.who == "stranger")
        yield _open(at, stranger)
        return
    for attempt in attempts:
        if attempt.who == "foreign" and attempt.by is not None:
            yield from _foreign(at, attempt.by, attempt)


def _open(at: Place, stranger: Answer) -> Finding:
    if stranger.met == "unknown":
        return undecided(
            f"{at.name} does not say what it thinks of a stranger: {stranger.said}", at.at, "look again once it answers"
        )
    return undecided(
        f"{at.name} asks nobody for credentials: whoever reaches it is inside, so nothing but its address keeps "
        "others out",
        at.at,
        "switch its access control on, or use a server that has any",
    )


def _foreign(at: Place, by: Place, attempt: Attempt) -> Iterator[Finding]:
    answer, deed = attempt.answer, attempt.what or "come in"
    if answer.met == "refused":
        return
    if answer.met == "unknown":
        yield undecided(
            f"whether the credentials of {by.name} could {deed} at {at.name} is not known: {answer.said}",
            at.at,
            "look again once the server answers",
        )
    elif answer.met == "inside":
        told = f": {answer.said}" if answer.said else ""
        yield fail(
            f"with the credentials of {by.name} one can {deed} at {at.name}{told}",
            at.at,
            _TAKE_AWAY if attempt.what else "give each version an account of its own with a password of its own",
        )
    elif not set(at.addresses) & set(by.addresses):  # a server that both use knows both; another should know one
        yield fail(
            f"{at.name} knows the credentials of {by.name}, though it refuses the database: {answer.said}",
            at.at,
            "remove the other version's account from this server, or change its password",
        )


_TAKE_AWAY = "take the rule away that allows it (`kafka-acls --list` shows them): a version needs its own prefix only"


def same_secrets(version: str, found: Iterable[Place]) -> Judged:
    """Where ``version`` uses a password that another version uses too. No finding holds it."""
    users: dict[str, list[Place]] = defaultdict(list)
    for one in found:
        if one.secret:
            users[one.secret].append(one)
    own = [places for places in users.values() if any(one.version == version for one in places)]
    findings = tuple(
        fail(
            f"{mine.name} and {theirs.name} have the same password",
            f"{mine.at} and {theirs.at}",
            "give one of them a new one: whoever knows a version's secret knows the other's",
        )
        for places in own
        for mine in places
        if mine.version == version
        for theirs in places
        if theirs.version != version
    )
    return Judged(len(own), findings)
