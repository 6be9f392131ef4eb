"""A real HTTP server that misbehaves as told, and a world whose time passes only by sleeping."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import SecretStr

from enrichers.llm.world import World
from enrichers.settings import Endpoint

SECRET = "sk-not-to-be-seen"


@dataclass
class Script:
    """What the server does with each request, in order; the last act is repeated. ``requests`` is what it was sent."""

    acts: list[Callable[["Handler"], None]]
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    turn: threading.Lock = field(default_factory=threading.Lock)

    def next(self) -> Callable[["Handler"], None]:
        return self.acts[min(len(self.requests), len(self.acts)) - 1]


class Handler(BaseHTTPRequestHandler):
    script: Script
    body: dict[str, Any]
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.body = body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.script.turn:
            self.script.requests.append({"path": self.path, **body})
            self.script.headers.append({name.lower(): value for name, value in self.headers.items()})
            act = self.script.next()
        try:
            act(self)
        except OSError:  # the client has gone, as it should
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def reply(text: str, usage: Any = None) -> bytes:
    usage = {"prompt_tokens": 100, "completion_tokens": 20} if usage is None else usage
    return json.dumps({"choices": [{"message": {"content": text}}], "usage": usage}).encode()


def says(text: str, usage: Any = None) -> Callable[[Handler], None]:
    return lambda handler: handler.send(200, reply(text, usage))


def sends(body: bytes) -> Callable[[Handler], None]:
    return lambda handler: handler.send(200, body)


def analyses(seconds: float = 0.0) -> Callable[[Handler], None]:
    """After so long, an analysis of the job that was sent; it repeats the job's title."""

    def act(handler: Handler) -> None:
        row = json.loads(handler.body["messages"][1]["content"])
        handler.script.released.wait(seconds)
        fields = {
            "enhanced_description": row["title"],
            "extracted_skills": [],
            "experience_requirements": "",
            "confidence_score": 0.9,
        }
        handler.send(200, reply(json.dumps(fields)))

    return act


def embeds(dims: int = 8) -> Callable[[Handler], None]:
    """A vector for each text, whose first number tells its length and whose second one is 1."""

    def act(handler: Handler) -> None:
        texts = handler.body["input"]
        data = [
            {"index": index, "embedding": [len(text), 1.0, *[0.0] * (dims - 2)]} for index, text in enumerate(texts)
        ]
        body = {"data": data[::-1], "usage": {"prompt_tokens": 5 * len(texts), "total_tokens": 5 * len(texts)}}
        handler.send(200, json.dumps(body).encode())

    return act


def refuses(status: int, **headers: str) -> Callable[[Handler], None]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: handler.send(status, b'{"error": "no"}', named)


def dies(handler: Handler) -> None:
    handler.close_connection = True


def half(handler: Handler) -> None:
    body = reply("never whole")
    handler.send(200, body[: len(body) // 2], {"Content-Length": str(len(body))})
    handler.close_connection = True


def hangs(handler: Handler) -> None:
    handler.script.released.wait(60)
    handler.close_connection = True


def drips(handler: Handler) -> None:
    """A byte now and then, for longer than anybody waits."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    while not handler.script.released.wait(0.02):
        handler.wfile.write(b" ")
    handler.close_connection = True


def floods(handler: Handler) -> None:
    handler.send(200, b" " * 3_000_000)


@contextmanager
def server(*acts: Callable[[Handler], None]) -> Iterator[tuple[str, Script]]:
    """The base URL of a server that does ``acts``."""
    script = Script(list(acts))
    handler = type("Scripted", (Handler,), {"script": script})
    running = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    running.daemon_threads = False
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}/v1", script
    finally:
        script.released.set()
        running.shutdown()
        thread.join()
        running.server_close()


def endpoint(url: str, name: str = "first", **declared: Any) -> Endpoint:
    return Endpoint(name=name, base_url=url, model=f"{name}-model", api_key=SecretStr(SECRET), **declared)


class Waiting:
    """Time that passes only by sleeping; ``slept`` is how long each time."""

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self.start = self.time = now
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds

    def world(self, random: float = 0.0) -> World:
        return World(lambda: self.time - self.start, lambda: self.time, self.sleep, lambda: random)
