"""Traffic in a process of its own: within one process it and an audit would wait for each other's interpreter lock.

In a session of its own too, for an audit steps aside with all of its session (`audit.pace`).
"""

import multiprocessing
import os
from contextlib import AbstractContextManager
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from tailrace.example.traffic import Stats, Traffic


class TrafficApart(AbstractContextManager["TrafficApart"]):
    """`tailrace.example.traffic.Traffic`, running from `__enter__` to `__exit__`. Raises what that raised."""

    def __init__(self, url: str, **options: Any) -> None:
        spawning = multiprocessing.get_context("spawn")
        self._ours, theirs = spawning.Pipe()
        self._process = spawning.Process(target=_serve, args=(theirs, url, options), daemon=True)

    def __enter__(self) -> "TrafficApart":
        self._process.start()
        self._ask("start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ask("stop")
        self._process.join()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def pause(self) -> None:
        self._ask("pause")

    def resume(self) -> None:
        self._ask("resume")

    def stats(self) -> Stats:
        found = self._ask("stats")
        if not isinstance(found, Stats):
            raise TypeError(f"{found!r} are no figures of traffic")
        return found

    def _ask(self, verb: str) -> object:
        self._ours.send(verb)
        failed, answer = self._ours.recv()
        if failed:
            raise RuntimeError(answer)
        return answer


def _serve(theirs: Connection, url: str, options: dict[str, Any]) -> None:
    os.setsid()
    traffic = Traffic(url, **options)
    verb = ""
    while verb != "stop":
        verb = theirs.recv()
        try:
            theirs.send((False, getattr(traffic, verb)()))
        except Exception as error:  # noqa: BLE001 - not swallowed: whoever asked raises it
            theirs.send((True, f"{type(error).__name__}: {error}"))
