"""Redis: a row as JSON under a key of its own, its position under another beside it."""

from collections.abc import Mapping

from changes.canonical import Value
from changes.target import Target
from sinks.contract import Sink, SinkSpec
from sinks.redis.place import check, render


def build(url: str) -> Sink:
    """``url``: ``redis://[user]:password@host:port/database number``."""
    from sinks.redis.sink import RedisSink  # noqa: PLC0415  the driver is loaded only where it is used

    return RedisSink(url)


def place_of(target: Target, row: Mapping[str, Value]) -> str:
    return render(target.place, row)


REDIS = SinkSpec("redis", "redis", build, check, place_of)
