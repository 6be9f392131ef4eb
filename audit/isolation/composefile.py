"""Whether a compose file keeps versions apart: read as text, once for each version. Pure; no engine is asked.

Which services are a version's: those with its label ``tailrace.version``, else those whose names begin with its own
(``dao-mysql``), else, in a file that is a project for each version, all that carry neither.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

from audit.isolation.report import Finding, Judged, fail
from changes.errors import Misconfigured

LABEL = "tailrace.version"
_VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<plain>\w+)|\{(?P<name>\w+)(?:(?P<how>:?[-?+])(?P<rest>(?:[^{}]|\{[^{}]*\})*))?\})"
)
_LOOPBACK = ("127.", "[::1]", "::1")
_ENGINE = "docker.sock"


@dataclass(frozen=True)
class Service:
    """``networks`` and ``volumes`` are names as the engine knows them, of a bind mount the path on the host.
    ``ports`` are published: (the host's address, the host's port), "" for every address."""

    name: str
    networks: frozenset[str]
    volumes: frozenset[str]
    ports: tuple[tuple[str, str], ...]
    limits: frozenset[str]
    privileges: tuple[str, ...]


Composed = Mapping[str, Sequence[Service]]
"""By version, its services."""


def read(text: str, versions: Sequence[str], environs: Mapping[str, Mapping[str, str]]) -> Composed:
    """``environs`` are the variables of each version's project; ``TAILRACE_VERSION`` is added.

    Raises `Misconfigured` where the text is no compose file.
    """
    try:
        return {
            version: _services(
                yaml.safe_load(interpolated(text, {"TAILRACE_VERSION": version, **environs.get(version, {})})),
                version,
                versions,
            )
            for version in versions
        }
    except (yaml.YAMLError, AttributeError, TypeError, KeyError) as error:
        raise Misconfigured(f"the compose file cannot be understood: {type(error).__name__}") from error


def interpolated(text: str, environ: Mapping[str, str]) -> str:
    """The text with its variables in place, as Compose does it; one that is not set is empty."""

    def value(found: re.Match[str]) -> str:
        if found["escaped"]:
            return "$"
        name = found["plain"] or found["name"]
        how, rest = found["how"] or "", found["rest"] or ""
        set_ = bool(environ.get(name)) if how.startswith(":") else name in environ
        if how.endswith("+"):
            return interpolated(rest, environ) if set_ else ""
        return environ.get(name, "") if set_ else interpolated(rest, environ) if how.endswith("-") else ""

    return _VARIABLE.sub(value, text)


def networks(version: str, composed: Composed) -> Judged:
    """No network holds a service of ``version`` and one of another; what is published is on the loopback interface."""
    return Judged(len(composed[version]), tuple(_networks(version, composed)))


def _networks(version: str, composed: Composed) -> Iterator[Finding]:
    for service in composed[version]:
        where = f"service `{service.name}` of the compose file"
        for other, theirs in composed.items():
            if other == version:
                continue
            for shared in sorted(service.networks & {name for one in theirs for name in one.networks}):
                yield fail(
                    f"`{service.name}` of `{version}` is on the network `{shared}` with services of `{other}`",
                    where,
                    "give each version's services a network of their own",
                )
        if "host" in service.networks:
            yield fail(f"`{service.name}` is on the host's own network", where, "give it a network of its version")
        for address, port in service.ports:
            if not address.startswith(_LOOPBACK):
                yield fail(
                    f"port {port} of `{service.name}` is published on {address or 'every address'}",
                    where,
                    f'write "127.0.0.1:{port}:…"',
                )


def volumes(version: str, composed: Composed) -> Judged:
    """No volume is shared with another version; memory and processors are limited; nothing reaches around it all."""
    own = composed[version]
    return Judged(sum(1 + len(one.volumes) for one in own), tuple(_volumes(version, composed)))


def _volumes(version: str, composed: Composed) -> Iterator[Finding]:
    for service in composed[version]:
        where = f"service `{service.name}` of the compose file"
        for other, theirs in composed.items():
            for shared in sorted(service.volumes & {name for one in theirs for name in one.volumes}):
                if other != version:
                    yield fail(
                        f"`{service.name}` of `{version}` and a service of `{other}` have the volume `{shared}`",
                        where,
                        "give each version's services volumes of their own",
                    )
        for limit in sorted({"memory", "cpus"} - service.limits):
            yield fail(
                f"`{service.name}` has no limit of {limit}, and may take what the other versions need",
                where,
                f"set deploy.resources.limits.{limit}",
            )
        for privilege in service.privileges:
            yield fail(f"`{service.name}` has `{privilege}`, which reaches around all limits", where, "take it away")


def _services(file: dict[str, Any], version: str, versions: Sequence[str]) -> list[Service]:
    project = str(file.get("name") or "")
    named = {kind: file.get(kind) or {} for kind in ("networks", "volumes")}
    return [
        _service(name, about, file["services"], project, named)
        for name, about in file["services"].items()
        if _owner(name, about, version, versions) == version
    ]


def _owner(name: str, about: Mapping[str, Any], version: str, versions: Sequence[str]) -> str:
    labels = about.get("labels") or {}
    if isinstance(labels, list):
        labels = dict(label.partition("=")[::2] for label in labels)
    if LABEL in labels:
        return str(labels[LABEL])
    return next((one for one in versions if name.startswith((f"{one}-", f"{one}_", f"{one}."))), version)


def _service(
    name: str, about: Mapping[str, Any], services: Mapping[str, Any], project: str, named: Mapping[str, Any]
) -> Service:
    limits = ((about.get("deploy") or {}).get("resources") or {}).get("limits") or {}
    limited = {limit for limit in ("memory", "cpus") if limits.get(limit)}
    limited |= {limit for limit, key in (("memory", "mem_limit"), ("cpus", "cpus")) if about.get(key)}
    mounts = [_mount(one, project, named["volumes"]) for one in about.get("volumes") or ()]
    held = {key: about.get(key) for key in ("privileged", "pid", "ipc", "cap_add")}
    privileges = [key for key, value in held.items() if value not in (None, False, [], "private")]
    privileges += [mount for mount in mounts if mount.endswith(_ENGINE)]
    return Service(
        name,
        frozenset(_joined(about, services, project, named["networks"])),
        frozenset(mount for mount in mounts if mount and not mount.endswith(_ENGINE)),
        tuple(_published(one) for one in about.get("ports") or ()),
        frozenset(limited),
        tuple(privileges),
    )


def _joined(
    about: Mapping[str, Any], services: Mapping[str, Any], project: str, named: Mapping[str, Any]
) -> Iterator[str]:
    mode = str(about.get("network_mode") or "")
    if mode.startswith("service:"):
        yield from _joined(services[mode.removeprefix("service:")], services, project, named)
    elif mode == "host":
        yield "host"
    elif mode != "none":
        yield from (_known(name, project, named) for name in about.get("networks") or ("default",))


def _known(name: str, project: str, named: Mapping[str, Any]) -> str:
    """The engine's name: the project's, unless the file gives one or says that it is there already."""
    about = named.get(name) or {}
    fixed = about.get("name") or (name if about.get("external") else "")
    return str(fixed) if fixed else f"{project}_{name}"


def _mount(one: Any, project: str, named: Mapping[str, Any]) -> str:
    """The volume's name or the host's path; "" for what lives in memory or has no name."""
    if isinstance(one, Mapping):
        kind, source = one.get("type", "volume"), str(one.get("source") or "")
    else:
        source, _, rest = str(one).partition(":")
        source = source if rest else ""
        kind = "bind" if source.startswith((".", "/", "~")) else "volume"
    if not source or kind not in {"bind", "volume"}:
        return ""
    return str(PurePosixPath(source)) if kind == "bind" else _known(source, project, named)


def _published(one: Any) -> tuple[str, str]:
    if isinstance(one, Mapping):
        return str(one.get("host_ip") or ""), str(one.get("published") or one.get("target") or "")
    host, _, inside = str(one).rpartition(":")
    address, _, port = host.rpartition(":")
    return address, port or inside
