"""Trying credentials: each version's on every server of the others'. Blocking; what is decided of it is `database`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from secrets import token_hex

from audit.isolation import database, kafka, trespass
from audit.isolation.database import Attempt
from audit.isolation.places import Place, with_login
from audit.isolation.report import Judged
from audit.isolation.stores import store_of
from audit.isolation.stores.answers import Answer
from changes.errors import TailraceError

AT_ONCE = 4
"""Servers that are asked side by side."""

_NAMED = {"mysql", "postgres", "kafka"}
"""A stranger comes here with a name that is known and a wrong password; elsewhere with neither, for some of those
servers ask for none."""
_COUNTS = {"neo4j"}
"""After some wrong passwords these refuse the right one too, for a while; one right in between is enough."""


def check(version: str, places: Sequence[Place], tell: Callable[[str], None]) -> Judged:
    """Try all doors of ``version`` with the credentials of all others."""
    doors = [one for one in places if one.version == version and one.family != "sqlite"]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        tried = [attempt for found in pool.map(lambda at: list(attempts(at, places)), doors) for attempt in found]
    tell(f"{version}: {len(tried)} attempts at {len(doors)} servers")
    return database.judged(tried) + database.same_secrets(version, places)


def attempts(at: Place, places: Sequence[Place]) -> Iterator[Attempt]:
    """One server: its own credentials, a stranger's, those of every other version's servers of its family."""
    own = _enter(at.url, at)
    yield Attempt(at, "own", own)
    if own.met != "inside":
        return
    stranger = with_login(at.url, at.user, token_hex(16)) if at.family in _NAMED else with_login(at.url, "", "")
    met = _enter(stranger, at)
    yield Attempt(at, "stranger", met)
    if met.met != "refused":
        return
    for by in _foreign(at, places):
        if at.family in _COUNTS:
            _enter(at.url, at)
        if at.family == "kafka":
            yield from _trespasses(at, by)
        else:
            yield Attempt(at, "foreign", _enter(with_login(at.url, by.user, by.secret), at), by)


def _foreign(at: Place, places: Sequence[Place]) -> list[Place]:
    """One place for each pair of credentials."""
    known: Mapping[tuple[str, str, str], Place] = {
        (one.version, one.user, one.secret): one
        for one in reversed(places)
        if one.version != at.version and one.family == at.family and (one.user or one.secret)
    }
    return list(known.values())


def _enter(url: str, at: Place) -> Answer:
    try:
        return kafka.enter(url) if at.family == "kafka" else store_of(at.family).enter(url)
    except TailraceError as error:  # of a URL that cannot be read
        return Answer("unknown", str(error))


def _trespasses(at: Place, by: Place) -> Iterator[Attempt]:
    """Versions share a Kafka: another's principal comes in, and must find nothing of this version's."""
    try:
        topics, groups = trespass.belongings(at.url, at.version)
        for deed, answer in trespass.trespass(
            with_login(at.url, by.user, by.secret), by.version, at.version, topics, groups
        ):
            yield Attempt(at, "foreign", answer, by, deed)
    except TailraceError as error:
        yield Attempt(at, "foreign", Answer("unknown", str(error)), by, "look for what it may do")
