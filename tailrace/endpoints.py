"""Where a version's servers are: in the environment, else in a stack that runs here; and which stores are served."""

import os
from collections.abc import Container, Mapping

from changes.errors import Misconfigured
from changes.topology import Topology
from sinks.registry import SPECS
from tailrace.stack.endpoints import VARIABLES
from tailrace.stack.places import stack_folder
from tailrace.stack.stack import Stack
from tailrace.stack.view import View

LOCAL_STACKS = ["default", "demo"]
"""The stacks that commands find by themselves, unless ``TAILRACE_STACK`` names another."""


STORES = "TAILRACE_STORES"
"""The variable that names the sinks to be served, commas between them; where it is not set, see `served`."""

ENRICHMENT = frozenset({"redis", "postgres"})
"""Where enrichment keeps what it was told and said, whether or not they are sinks too."""


def served(topology: Topology, environ: Mapping[str, str] = os.environ) -> Topology:
    """The topology without the sinks that are not served.

    Those are what `STORES` does not name. Where that is not set, the sinks for which neither the environment nor the
    stack that runs here has a server: a stack of the profile ``core`` is enough for what it has. Without a stack
    nothing is left out, so that a variable which was forgotten is told. Raises `Misconfigured`.
    """
    if named := [name.strip() for name in environ.get(STORES, "").split(",") if name.strip()]:
        if unknown := sorted(set(named) - set(topology.sinks)):
            known = ", ".join(topology.sinks)
            raise Misconfigured(f"`{STORES}` names `{unknown[0]}`, to which nothing goes: there are {known}")
        return topology.without(set(topology.sinks) - set(named))
    running = running_stack(environ)
    if running is None:
        return topology
    has = {kind for urls in running.endpoints().values() for kind in urls}
    given = {
        kind
        for version in topology.versions
        for kind, name in VARIABLES.items()
        if environ.get(topology.prefix(version) + name)
    }
    return having(topology, has | given)


def having(topology: Topology, kinds: Container[str]) -> Topology:
    """The topology without the sinks whose kind of endpoint is not among ``kinds``; endpoints by kind will do."""
    return topology.without({sink for sink in topology.sinks if SPECS[sink].endpoint not in kinds})


def endpoints_of(topology: Topology, version: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """URLs by endpoint name, of what is declared. Raises `Misconfigured` that names every variable that is missing."""
    prefix = topology.prefix(version)
    wanted = {"mysql", "kafka", *(SPECS[sink].endpoint for sink in topology.sinks)}
    if any(topology.enrichers(table) for table in topology.tables):
        wanted |= ENRICHMENT
    found = {kind: environ.get(prefix + name, "") for kind, name in VARIABLES.items() if kind in wanted}
    if not all(found.values()) and (running := running_stack(environ)) is not None:
        local = running.endpoints().get(version, {})
        found = {kind: url or local.get(kind, "") for kind, url in found.items()}
    missing = [prefix + VARIABLES[kind] for kind, url in found.items() if not url]
    if missing:
        raise Misconfigured(
            f"version `{version}` has no {', '.join(missing)} in the environment, and no stack is running here: "
            f"set them, run `tailrace stack up`, or name the stores to be served in `{STORES}`"
        )
    return found


def running_stack(environ: Mapping[str, str]) -> View | None:
    """The stack that commands find by themselves, where one runs."""
    names = [environ["TAILRACE_STACK"]] if "TAILRACE_STACK" in environ else LOCAL_STACKS
    return next((view for name in names if (view := Stack.running(stack_folder(name, environ)))), None)


def environment(topology: Topology, version: str, endpoints: Mapping[str, str]) -> dict[str, str]:
    """A process's environment for one version: its own endpoints and the stores that are served, and no other
    version's."""
    foreign = tuple(topology.prefix(other) for other in topology.versions if other != version)
    own = {topology.prefix(version) + VARIABLES[kind]: url for kind, url in endpoints.items()}
    mine = {name: value for name, value in os.environ.items() if not name.startswith(foreign or ("\0",))}
    return mine | own | {STORES: ",".join(topology.sinks)}
