"""Neo4j: every node and every relationship."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit, urlunsplit

from neo4j import Driver, GraphDatabase, Session
from neo4j.exceptions import AuthError, DriverError, Neo4jError

from audit.isolation.stores.answers import INSIDE, Answer, Found, Search, Seeing
from changes.errors import Misconfigured
from sinks.neo4j.errors import classify

_LABEL = "TailraceCanary"
_RATE = "AuthenticationRateLimit"
_SECONDS = 10.0


def enter(url: str) -> Answer:
    try:
        with _session(url) as session:
            session.run("MATCH (n) RETURN n LIMIT 1").consume()
    except AuthError as error:
        return Answer("unknown" if _RATE in (error.code or "") else "refused", error.message or "")
    except Neo4jError as error:
        forbidden = (error.code or "").startswith("Neo.ClientError.Security") and _RATE not in (error.code or "")
        return Answer("barred" if forbidden else "unknown", error.message or "")
    except (DriverError, OSError, Misconfigured) as error:
        return Answer("unknown", str(error) or type(error).__name__)
    return INSIDE


def plant(url: str, token: str) -> None:
    with _translated(url) as session:
        session.run(f"CREATE (:{_LABEL} {{token: $token}})", token=token).consume()


def remove(url: str) -> None:
    with _translated(url) as session:
        session.run(f"MATCH (n:{_LABEL}) DETACH DELETE n").consume()


def search(url: str, tokens: Sequence[str]) -> Found:
    seen = Search(tokens)
    walk(url, seen)
    return seen.found()


def walk(url: str, seen: Seeing) -> None:
    """Show all nodes and relationships. Raises `Transient` or `Misconfigured`."""
    with _translated(url) as session:
        for labels, properties in session.run("MATCH (n) RETURN labels(n), properties(n)"):
            seen.see(f"node `{':'.join(labels)}`", properties)
        for kind, properties in session.run("MATCH ()-[r]->() RETURN type(r), properties(r)"):
            seen.see(f"relationship `{kind}`", properties)


@contextmanager
def _translated(url: str) -> Iterator[Session]:
    try:
        with _session(url) as session:
            yield session
    except (Neo4jError, DriverError, OSError) as error:
        raise classify(error) from error


@contextmanager
def _session(url: str) -> Iterator[Session]:
    try:
        found = urlsplit(url)
        address = urlunsplit(found._replace(netloc=found.netloc.rpartition("@")[2], path=""))
        auth = None if found.username is None else (unquote(found.username), unquote(found.password or ""))
    except ValueError as error:  # its text may hold a part of the password
        raise Misconfigured("Neo4j: the URL cannot be read") from error
    with _driver(address, auth) as driver, driver.session(database=found.path.strip("/") or None) as session:
        yield session


def _driver(address: str, auth: tuple[str, str] | None) -> Driver:
    return GraphDatabase.driver(
        address,
        auth=auth,
        max_connection_pool_size=1,
        connection_acquisition_timeout=_SECONDS,
        connection_timeout=_SECONDS,
        max_transaction_retry_time=0,
        notifications_min_severity="OFF",
        telemetry_disabled=True,
        user_agent="tailrace",
    )
