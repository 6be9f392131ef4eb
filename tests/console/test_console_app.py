"""The console over agents that are not there, and at a socket that answers nonsense."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
from click.testing import CliRunner

from changes.errors import Transient
from tailrace.cli import cli
from tailrace.console.agents import Agents
from tailrace.console.app import STATIC, application
from tailrace.console.watching import Watching

PAGE = "http://127.0.0.1:8400"
TOKEN = "token"
CHANGE = {"origin": PAGE, "content-type": "application/json", "x-tailrace-token": TOKEN}


@pytest.fixture
def socket() -> Iterator[Path]:
    """Where an agent would answer; a short path, as sockets want."""
    with TemporaryDirectory() as folder:
        yield Path(folder) / "agent.sock"


@asynccontextmanager
async def served(socket: Path, token: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    agents = Agents({"future": socket})
    app = application(agents, Watching(agents, ["redis"], write=token is not None), token)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=PAGE) as client:
        yield client
    await agents.close()


@asynccontextmanager
async def answering(socket: Path, response: bytes) -> AsyncIterator[list[bytes]]:
    """A server that says the same to everybody; what it was asked."""
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        asked.append(head.split(b"\r\n")[0] + b"\n" + await reader.readexactly(length))
        writer.write(response)
        writer.close()

    async with await asyncio.start_unix_server(answer, socket):
        yield asked


def http(body: bytes, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % (status, len(body)) + body


async def test_every_answer_confines_the_page_to_its_own_files(socket: Path) -> None:
    async with served(socket) as client:
        for path in ("/", "/static/main.js", "/nothing", "/api/future/audits"):
            found = await client.get(path)
            policy = found.headers["content-security-policy"]
            assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
            assert "unsafe" not in policy
            assert found.headers["x-content-type-options"] == "nosniff"
        page = (await client.get("/")).text
    assert "<style" not in page
    assert " style=" not in page
    assert page.count("<script") == page.count("<script src=")
    assert "//" not in page.replace("</", "")


def test_nothing_is_fetched_from_elsewhere() -> None:
    for path in [*STATIC.glob("*.js"), *STATIC.glob("*.css")]:
        assert "http:" not in path.read_text(), path
        assert "https:" not in path.read_text(), path


async def test_an_agent_that_is_not_there_is_said_to_be_away(socket: Path) -> None:
    async with served(socket) as client:
        found = await client.get("/api/future/audits")
        assert (found.status_code, found.json()) == (503, {"error": "no agent runs: `tailrace run` starts it"})
        assert (await client.get("/api/other/audits")).status_code == 404
        assert 'tailrace_agent_up{version="future"} 0' in (await client.get("/metrics")).text


async def test_rebound_names_foreign_pages_and_wrong_tokens_are_refused(socket: Path) -> None:
    async with served(socket, TOKEN) as client:
        assert (await client.get("/", headers={"host": "evil.example"})).status_code == 421
        for name, value in (("origin", "http://evil.example"), ("x-tailrace-token", "wrong")):
            found = await client.post("/api/future/audits", json={}, headers={**CHANGE, name: value})
            assert found.status_code in {401, 403}
    async with served(socket) as client:
        found = await client.post("/api/future/audits", json={}, headers=CHANGE)
        assert (found.status_code, found.json()) == (403, {"error": "the console is read-only: start it with --write"})


async def test_orders_are_checked_and_handed_on(socket: Path) -> None:
    async with answering(socket, http(b'{"id": "r1"}', b"202 Accepted")) as asked, served(socket, TOKEN) as client:
        order = {"audit": "a1", "sink": "redis", "table": "jobs", "keys": [{"id": 7}], "cap": 1}
        found = await client.post("/api/future/repairs", json=order, headers=CHANGE)
        assert (found.status_code, found.json()) == (202, {"id": "r1"})
        for wrong in ({"audit": "a1"}, {**order, "shell": "rm"}, {**order, "cap": "many"}):
            assert (await client.post("/api/future/repairs", json=wrong, headers=CHANGE)).status_code == 400
        large = {**order, "keys": [{"id": "x" * 1_100_000}]}
        assert (await client.post("/api/future/repairs", json=large, headers=CHANGE)).status_code == 413
    assert asked == [
        b"POST /repairs HTTP/1.1\n"
        b'{"audit":"a1","sink":"redis","table":"jobs","keys":[{"id":7}],"cap":1,"dry_run":false}'
    ]


async def test_only_known_parameters_reach_the_agent(socket: Path) -> None:
    async with answering(socket, http(b"[]")) as asked, served(socket) as client:
        assert (await client.get("/api/future/audits", params={"limit": "5", "x": "1"})).json() == []
        await client.get("/api/future/audits/..%2Fstate")
        await client.get("/api/future/differences/a1", params={"sink": "redis", "table": "jobs"})
    assert asked == [
        b"GET /audits?limit=5 HTTP/1.1\n",
        b"GET /differences/a1?sink=redis&table=jobs HTTP/1.1\n",
    ]


async def test_values_that_an_agent_forgot_to_mask_do_not_leave_the_console(socket: Path) -> None:
    column = b'{"name": "email", "mysql": "a@b.example", "store": "c", "differs": true, "masked": true}'
    rest = b'"class": "altered", "key": {"id": 1}, "place": "users", "mysql_has": true, "store_has": true'
    async with answering(socket, http(b'[{%b, "columns": [%b]}]' % (rest, column))), served(socket) as client:
        (found,) = (await client.get("/api/future/differences/a1")).json()
    assert found["columns"] == [{"name": "email", "mysql": None, "store": None, "differs": True, "masked": True}]


async def test_rows_that_are_not_understood_are_not_shown(socket: Path) -> None:
    async with answering(socket, http(b'[{"class": "odd"}]')), served(socket) as client:
        found = await client.get("/api/future/differences/a1")
    assert (found.status_code, found.json()["error"][:38]) == (502, "the agent's answer is not understood: ")


async def test_a_report_runs_nothing(socket: Path) -> None:
    async with answering(socket, http(b"<p>")) as asked, served(socket) as client:
        found = await client.get("/api/future/audits/a1.html")
    assert asked == [b"GET /audits/a1.html HTTP/1.1\n"]
    assert found.headers["content-security-policy"].startswith("sandbox; default-src 'none';")


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (http(b"{}"), "the agent's answer is not understood"),
        (http(b"nonsense"), "the agent's answer is not understood"),
        (http(b'{"error": "MySQL is away"}', b"503 Service Unavailable"), "^MySQL is away$"),
        (http(b"", b"500 Internal Server Error"), "^the agent answers with 500$"),
        (b"", "the agent does not answer"),
        (b"nonsense\r\n\r\n", "the agent does not answer"),
    ],
)
async def test_what_is_no_state_is_silence(socket: Path, response: bytes, reason: str) -> None:
    async with answering(socket, response):
        agents = Agents({"future": socket})
        with pytest.raises(Transient, match=reason):
            await agents.state("future")
        await agents.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.org"])  # noqa: S104
def test_the_command_listens_on_this_machine_only(host: str) -> None:
    result = CliRunner().invoke(cli, ["console", "--host", host])
    assert result.exit_code == 2
    assert "--host takes a loopback address" in result.output
