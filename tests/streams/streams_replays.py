"""A replay as `streams.replay.book` keeps it, for tests."""

from streams.replay.asked import Replay


def replay(**more: object) -> Replay:
    fields: dict[str, object] = {
        "id": "a",
        "sink": "postgres",
        "way": "beside",
        "since": "the beginning",
        "targets": ["jobs"],
        "starts": {"t": {"0": 5}},
        "ends": {"t": {"0": 105}},
        "records": 100,
        "bytes": 1000,
        "rate": 0.0,
        "begun_ms": 0,
        "at_ms": 0,
    }
    return Replay(**fields | more)  # type: ignore[arg-type]
