"""What the compose file says that each version gets, read as text.

The file is one for all; a version's project is made of it and of the version's variables (``deploy/versions``). Names
of networks and volumes are given as Docker knows them, with their project's name in front.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tailrace.stack.compose import FILE

VERSIONS = FILE.parent / "deploy" / "versions"
SHARED = "shared"
"""The project of what all versions share; no version may be called so."""

_VARIABLE = re.compile(r"\$(?:\$|\{([A-Z0-9_]+)(?::-([^}]*))?\})")
_SHARED_PROFILES = {SHARED, "rules"}


@dataclass(frozen=True)
class Service:
    """One container. ``ports`` are those of the host; ``memory`` and ``cpus`` are limits, empty where there is none."""

    name: str
    version: str
    ports: tuple[tuple[str, int], ...]  # address and number
    networks: tuple[str, ...]
    volumes: tuple[str, ...]
    memory: str
    cpus: str
    healthy: bool
    environment: Mapping[str, str]


def variables(text: str) -> dict[str, str]:
    """The lines of an env file, without comments and quotes."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value.strip("\"'") for name, _, value in pairs}


def interpolated(text: str, given: Mapping[str, str]) -> str:
    """The compose file's text with its variables, and the defaults of those that are not given, put in."""

    def one(found: re.Match[str]) -> str:
        return "$" if found[1] is None else given.get(found[1]) or found[2] or ""

    return _VARIABLE.sub(one, text)


def project(text: str, given: Mapping[str, str]) -> tuple[Service, ...]:
    """The services that belong to the project whose variables are ``given``: a version's, or what is `SHARED`."""
    whole: dict[str, Any] = yaml.safe_load(interpolated(text, given))
    version, name = given["TAILRACE_VERSION"], whole["name"]
    return tuple(
        _service(service, one, version, name, whole)
        for service, one in whole["services"].items()
        if (version == SHARED) == bool(_SHARED_PROFILES & set(one.get("profiles", ())))
    )


def _service(name: str, one: Mapping[str, Any], version: str, project_name: str, whole: Mapping[str, Any]) -> Service:
    limits = one.get("deploy", {}).get("resources", {}).get("limits", {})
    joined = [one["network_mode"]] if "network_mode" in one else one.get("networks", ["default"])
    return Service(
        name=name,
        version=str(one.get("labels", {}).get("tailrace.version", version)),
        ports=tuple(_port(port) for port in one.get("ports", ())),
        networks=tuple(
            each if "network_mode" in one else _known_as(each, whole["networks"], project_name) for each in joined
        ),
        volumes=tuple(
            _known_as(volume.split(":")[0], whole["volumes"], project_name) for volume in one.get("volumes", ())
        ),
        memory=str(limits.get("memory", "")),
        cpus=str(limits.get("cpus", "")),
        healthy=bool(one.get("healthcheck", {}).get("test")),
        environment={key: str(value) for key, value in one.get("environment", {}).items()},
    )


def _port(text: str) -> tuple[str, int]:
    """``127.0.0.1:3306:3306``; without an address it is open to every interface."""
    *address, host, _ = text.split(":")
    return (address[0] if address else "0.0.0.0", int(host))  # noqa: S104 - what Docker takes, told as it is


def _known_as(name: str, declared: Mapping[str, Any], project_name: str) -> str:
    """A network or volume as Docker names it; a folder of the host is its path."""
    if name not in declared:
        return name
    own = declared[name] or {}
    if own.get("external"):
        return str(own.get("name", name))
    return str(own.get("name", f"{project_name}_{name}"))


def declared_projects(text: str, folder: Path = VERSIONS) -> dict[str, tuple[Service, ...]]:
    """By version and for `SHARED`, the services of each env file in ``folder``."""
    return {path.stem: project(text, variables(path.read_text())) for path in sorted(folder.glob("*.env"))}
