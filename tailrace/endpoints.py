"""Where a version's servers are: in the environment, else in a stack that runs here."""

import os
from collections.abc import Mapping

from changes.errors import Misconfigured
from changes.topology import Topology
from sinks.registry import SPECS
from tailrace.stack.endpoints import VARIABLES
from tailrace.stack.places import stack_folder
from tailrace.stack.stack import Stack

LOCAL_STACKS = ["default", "demo"]
"""The stacks that commands find by themselves, unless ``TAILRACE_STACK`` names another."""


def endpoints_of(topology: Topology, version: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """URLs by endpoint name, of what is declared. Raises `Misconfigured` that names every variable that is missing."""
    prefix = topology.prefix(version)
    wanted = {"mysql", "kafka", *(SPECS[target.sink].endpoint for target in topology.every_target(version))}
    found = {kind: environ.get(prefix + name, "") for kind, name in VARIABLES.items() if kind in wanted}
    if not all(found.values()):
        names = [environ["TAILRACE_STACK"]] if "TAILRACE_STACK" in environ else LOCAL_STACKS
        running = next((view for name in names if (view := Stack.running(stack_folder(name, environ)))), None)
        if running is not None:
            local = running.endpoints().get(version, {})
            found = {kind: url or local.get(kind, "") for kind, url in found.items()}
    missing = [prefix + VARIABLES[kind] for kind, url in found.items() if not url]
    if missing:
        raise Misconfigured(
            f"version `{version}` has no {', '.join(missing)} in the environment, and no stack is running here: "
            "set them, or run `tailrace stack up`"
        )
    return found


def environment(topology: Topology, version: str, endpoints: Mapping[str, str]) -> dict[str, str]:
    """A process's environment for one version: its own endpoints, and no other version's."""
    foreign = tuple(topology.prefix(other) for other in topology.versions if other != version)
    own = {topology.prefix(version) + VARIABLES[kind]: url for kind, url in endpoints.items()}
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign or ("\0",))} | own
