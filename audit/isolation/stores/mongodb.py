"""MongoDB: every collection, as bytes of BSON."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.errors import ConfigurationError, OperationFailure, PyMongoError

from audit.isolation.stores.answers import INSIDE, Answer, Found, Search, Seeing
from changes.errors import Misconfigured
from sinks.mongodb.errors import classify

_COLLECTION = "tailrace_canary"
_NOT_ALLOWED, _NOT_AUTHENTICATED = 13, 18
_SYSTEM = {"admin", "config", "local"}
_MILLISECONDS = 10_000

Client = MongoClient[RawBSONDocument]


def enter(url: str) -> Answer:
    try:
        with _client(url) as client:
            client.get_default_database().list_collection_names()
    except OperationFailure as error:
        said = str((error.details or {}).get("errmsg", error))
        if error.code == _NOT_AUTHENTICATED or (error.code == _NOT_ALLOWED and urlsplit(url).username is None):
            return Answer("refused", said)
        return Answer("barred" if error.code == _NOT_ALLOWED else "unknown", said)
    except (PyMongoError, Misconfigured) as error:
        return Answer("unknown", str(error))
    return INSIDE


def plant(url: str, token: str) -> None:
    with _translated(url) as client:
        client.get_default_database()[_COLLECTION].insert_one({"_id": token})  # type: ignore[arg-type]


def remove(url: str) -> None:
    with _translated(url) as client:
        client.get_default_database().drop_collection(_COLLECTION)


def search(url: str, tokens: Sequence[str]) -> Found:
    seen = Search(tokens)
    walk(url, seen)
    return seen.found()


def walk(url: str, seen: Seeing) -> None:
    """Show all documents of every collection. Raises `Transient` or `Misconfigured`."""
    with _translated(url) as client:
        own = client.get_default_database().name
        names = {own}
        with suppress(OperationFailure):  # who may not list databases sees its own
            names |= set(client.list_database_names()) - _SYSTEM
        for name in sorted(names):
            for collection in client[name].list_collections():
                if collection["type"] == "view":
                    continue
                where = f"collection `{name}.{collection['name']}`"
                try:
                    for document in client[name][collection["name"]].find():
                        seen.see(where, document.raw)
                except OperationFailure as error:
                    if error.code != _NOT_ALLOWED:
                        raise
                    seen.leave(f"{where}: {error}")


@contextmanager
def _translated(url: str) -> Iterator[Client]:
    try:
        with _client(url) as client:
            yield client
    except (PyMongoError, OSError) as error:
        raise classify(error) from error


@contextmanager
def _client(url: str) -> Iterator[Client]:
    try:
        client: Client = MongoClient(
            url,
            document_class=RawBSONDocument,
            appname="tailrace",
            retryReads=False,
            retryWrites=False,
            serverSelectionTimeoutMS=_MILLISECONDS,
            connectTimeoutMS=_MILLISECONDS,
        )
        client.get_default_database()
    except (ConfigurationError, ValueError) as error:  # whose text may hold a part of the password
        raise Misconfigured("MongoDB: the URL cannot be read") from error
    with client:
        yield client
