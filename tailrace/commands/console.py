"""``tailrace console``: the page that answers whether everything is equal."""

import asyncio
import logging
import secrets
import signal
import socket
from pathlib import Path
from types import FrameType

import click
import uvicorn

from changes.errors import Misconfigured
from changes.topology import Topology
from tailrace.commands.common import say, topics_option, versions_here
from tailrace.console.agents import Agents
from tailrace.console.app import application
from tailrace.console.guard import is_loopback
from tailrace.console.watching import Watching
from tailrace.declared import read_topology
from tailrace.endpoints import configured
from tailrace.logs import set_up
from tailrace.places import home
from tailrace.reports import Reports

PORT = 8400


@click.command()
@topics_option
@click.option("--version", "-V", "versions", multiple=True,
              help="Which versions; if not given, all that are configured here or have run here.")  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address; others are refused.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 for any free one.")
@click.option("--write", is_flag=True, help="Allow audits, repairs and retries, with a token that is printed once.")
def console(topics: Path, versions: tuple[str, ...], host: str, port: int, write: bool) -> None:
    """Serve the console on this machine: is everything equal, and if not, where?

    It asks the agents that `tailrace run` started, and holds no store's secret. Without --write nothing can be changed
    from it.
    """
    if not is_loopback(host):
        raise click.UsageError(f"--host takes a loopback address, not `{host}`: the console is for this machine only")
    set_up("tailrace console")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # which tells every request
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    topology = read_topology(topics)
    token = secrets.token_urlsafe(24) if write else None
    listening = _listening(host, port)
    name = f"[{host}]" if ":" in host else host
    say(f"console: http://{name}:{listening.getsockname()[1]}/ ({'changes are allowed' if write else 'read-only'})")
    if token is not None:
        say(f"token for changes: {token}")
    sockets = {version: Reports(home(), version).socket for version in _shown(topology, versions)}
    asyncio.run(_serve(sockets, topology.sinks, token, listening))


def _shown(topology: Topology, named: tuple[str, ...]) -> list[str]:
    """The versions that are named; else those whose agent may be reached, and all where nothing is known of any."""
    if named:
        return versions_here(topology, named)
    here = configured(topology)
    ran = [one for one in topology.versions if one in here or Reports(home(), one).socket.parent.exists()]
    return ran or list(topology.versions)


def _listening(host: str, port: int) -> socket.socket:
    """Raises `Misconfigured` where something else listens there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except OSError as error:
        found.close()
        raise Misconfigured(
            f"cannot listen at `{host}` port {port}: {error.strerror}; choose another --port"
        ) from error
    return found


async def _serve(sockets: dict[str, Path], sinks: tuple[str, ...], token: str | None, listening: socket.socket) -> None:
    agents = Agents(sockets)
    watching = Watching(agents, sinks, write=token is not None)
    config = uvicorn.Config(
        application(agents, watching, token),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        http="h11",
        timeout_graceful_shutdown=5,
    )
    await _Server(config, watching).serve([listening])


class _Server(uvicorn.Server):
    """Ends the live streams when it is told to end, for it waits for them."""

    def __init__(self, config: uvicorn.Config, watching: Watching) -> None:
        super().__init__(config)
        self._watching = watching

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._watching.stop()
        if sig == signal.SIGINT and self.should_exit:
            self.force_exit = True
        self.should_exit = True
