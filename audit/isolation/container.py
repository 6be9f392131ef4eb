"""Whether the folders and processes of versions are apart, and closed to others: decided from what was seen. Pure."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.isolation.report import Finding, Judged, fail, undecided

_OTHERS = 0o077
_ROOT = 0


@dataclass(frozen=True)
class Folder:
    """A folder or file of ``version`` (``""``: of what all share). ``real`` is where it is once links are followed;
    ``mode`` and ``owner`` are None where it cannot be seen. ``user`` is the account that should own it, None where its
    server does not run and nobody knows."""

    version: str
    what: str
    path: Path
    real: Path
    mode: int | None
    owner: int | None
    user: int | None


@dataclass(frozen=True)
class Server:
    """A server of the local stack. ``command`` holds its words and the variables that the stack sets, ``opened`` the
    files its processes have open; both None where this account is not told."""

    name: str
    version: str
    kind: str
    command: tuple[str, ...] | None
    opened: frozenset[Path] | None


@dataclass(frozen=True)
class Worker:
    """A process of a version's pipeline, and its variables' values by name; None where this account is not told."""

    name: str
    version: str
    pid: int
    environ: Mapping[str, str] | None


_LIMITS: Mapping[str, Sequence[str]] = {
    "mysql": (r"--innodb-buffer-pool-size=\d+\w*", r"--max-connections=\d+"),
    "dao": (r"--innodb-buffer-pool-size=\d+\w*", r"--max-connections=\d+"),
    "credit": (r"--innodb-buffer-pool-size=\d+\w*", r"--max-connections=\d+"),
    "postgres": (r"shared_buffers=\d+\w*", r"max_connections=\d+"),
    "ai_identity": (r"shared_buffers=\d+\w*", r"max_connections=\d+"),
    "mongodb": (r"-Xmx\d+\w",),
    "elasticsearch": (r"-Xmx\d+\w",),
    "neo4j": (r"-Xmx\d+\w",),
    "kafka": (r"-Xmx\d+\w",),
    "weaviate": (r"GOMEMLIMIT=\d+\w*",),
}
"""What the stack bounds of each kind of server, as words of its command. Redis has no bound that refuses nothing."""


def folders(version: str, found: Sequence[Folder]) -> Judged:
    """Own folders are there, ours alone, of their account, and neither those of another version nor inside them."""
    own = [one for one in found if one.version in (version, "")]
    others = [one for one in found if one.version not in (version, "")]
    findings = [finding for one in own for finding in _closed(one)]
    for one in own:
        for other in others if one.version else ():
            if one.real == other.real or one.real in other.real.parents or other.real in one.real.parents:
                findings.append(
                    fail(
                        f"{one.what} of `{version}` and {other.what} of `{other.version}` are one place on the disk",
                        f"{one.path} and {other.path}",
                        "give each version a folder of its own",
                    )
                )
    return Judged(len(own), tuple(findings))


def _closed(one: Folder) -> Iterator[Finding]:
    if one.mode is None or one.owner is None:
        yield undecided(
            f"{one.what} cannot be seen", str(one.path), "run this where it is, as the account that owns it"
        )
        return
    if one.mode & _OTHERS:
        yield fail(
            f"{one.what} is open to other accounts (mode {one.mode & 0o777:04o})",
            str(one.path),
            f"close it: chmod go= {one.path}",
        )
    if one.user is None:
        yield undecided(
            f"whose {one.what} should be is not known, for its server does not run",
            str(one.path),
            "start the server and look again",
        )
    elif one.owner != one.user:
        yield fail(
            f"{one.what} belongs to account {one.owner}, and its server runs as {one.user}",
            str(one.path),
            "give it back to the account of its server",
        )


def servers(version: str, found: Sequence[Server], own: Sequence[Folder]) -> Judged:
    """Own servers are bounded as the stack bounds them, and no other version's has a file of ours open."""
    mine = [one for one in found if one.version in (version, "")]
    others = [one for one in found if one.version not in (version, "")]
    findings = [finding for one in mine for finding in _bounded(one)]
    roots = [one.real for one in own if one.version == version]
    for server in others:
        if server.opened is None:
            findings.append(
                undecided(
                    f"which files `{server.name}` has open is not told to this account",
                    server.name,
                    "run this as the account that the servers run under, or as root",
                )
            )
            continue
        findings += [
            fail(
                f"`{server.name}` has a file of `{version}` open",
                str(path),
                "stop it, and give it a data folder of its own",
            )
            for path in sorted(server.opened)
            if any(root == path or root in path.parents for root in roots)
        ]
    return Judged(len(mine) + len(others), tuple(findings))


def _bounded(server: Server) -> Iterator[Finding]:
    wanted = _LIMITS.get(server.kind, ())
    if server.command is None:
        if wanted:
            yield undecided(
                f"the limits of `{server.name}` are not told to this account",
                server.name,
                "run this as the account that the servers run under, or as root",
            )
        return
    for pattern in wanted:
        if not any(re.fullmatch(pattern, word) for word in server.command):
            name = pattern.split("=")[0].split("\\")[0].strip("-")
            yield fail(
                f"`{server.name}` runs without the limit `{name}`, and may take what the other versions need",
                server.name,
                "start it again with `tailrace stack up`, which sets it",
            )


def workers(version: str, found: Sequence[Worker], prefixes: Mapping[str, str], secrets: Collection[str]) -> Judged:
    """No process of another version has a variable of ``version``'s or one of its ``secrets``. Values are not told."""
    others = [one for one in found if one.version != version]
    findings: list[Finding] = []
    for worker in others:
        where = f"process {worker.pid}"
        if worker.environ is None:
            findings.append(
                undecided(
                    f"the variables of `{worker.name}` are not told to this account",
                    where,
                    "run this as the account that the pipeline runs under, or as root",
                )
            )
            continue
        findings += [
            fail(
                f"`{worker.name}` of `{worker.version}` holds the variable `{name}` of `{version}`",
                where,
                "start each version's processes with their own variables only",
            )
            for name, value in worker.environ.items()
            if name.startswith(prefixes[version]) or any(secret in value for secret in secrets)
        ]
    return Judged(len(others), tuple(findings))
