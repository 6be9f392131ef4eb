"""The four checks, put together. Blocking; progress goes to ``tell``, one line each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from audit.isolation import composefile, container, doors, machine, network
from audit.isolation.canaries import Canaries
from audit.isolation.composefile import Composed
from audit.isolation.data import Searched
from audit.isolation.places import Place, secrets
from audit.isolation.report import Check, Judged, Report, Result, report, result, undecided, without
from changes.topology import Topology


@dataclass(frozen=True)
class Grounds:
    """What isolation is decided of: ``places`` of all versions; of this machine the servers of the local stack, their
    folders, and the processes of pipelines; the compose file, where there is one."""

    topology: Topology
    places: Sequence[Place]
    running: Sequence[network.Running] = ()
    servers: Sequence[container.Server] = ()
    folders: Sequence[container.Folder] = ()
    workers: Sequence[container.Worker] = ()
    composed: Composed = field(default_factory=dict)

    @property
    def versions(self) -> tuple[str, ...]:
        """Those of which anything is known here."""
        return tuple(dict.fromkeys(one.version for one in self.places))

    @property
    def absent(self) -> tuple[str, ...]:
        """Those that are declared, and of which nothing is known here."""
        return tuple(version for version in self.topology.versions if version not in self.versions)


def isolation(
    grounds: Grounds,
    versions: Sequence[str],
    checks: Sequence[Check],
    *,
    timeout: float,
    tell: Callable[[str], None],
) -> Report:
    """Hold ``versions`` against all that ``grounds`` know. ``timeout``: see `Canaries`."""
    known = [version for version in versions if version in grounds.versions]
    tried: Mapping[Check, Callable[[], Sequence[Result]]] = {
        "database": lambda: [of_database(grounds, version, tell) for version in known],
        "network": lambda: [of_network(grounds, version) for version in known],
        "data": lambda: of_data(grounds, known, timeout=timeout, tell=tell),
        "container": lambda: [of_container(grounds, version) for version in known],
    }
    results = [found for check in checks if known for found in tried[check]()]
    results += [
        _result(grounds, version, check, []) for check in checks for version in versions if version not in known
    ]
    return without(report(results), secrets(grounds.places))


def of_database(grounds: Grounds, version: str, tell: Callable[[str], None]) -> Result:
    return _result(grounds, version, "database", [doors.check(version, grounds.places, tell)])


def of_network(grounds: Grounds, version: str) -> Result:
    hosts = {host for place in grounds.places for host, _ in place.addresses}
    parts = [
        network.disjoint(version, grounds.places, machine.resolved(hosts)),
        network.listening(version, grounds.places, grounds.running, machine.sockets()),
    ]
    if version in grounds.composed:
        parts.append(composefile.networks(version, grounds.composed))
    return _result(grounds, version, "network", parts)


def of_data(grounds: Grounds, versions: Sequence[str], *, timeout: float, tell: Callable[[str], None]) -> list[Result]:
    canaries = Canaries(grounds.topology, grounds.places, timeout=timeout, tell=tell)
    try:
        canaries.plant()
        searched = canaries.search()
    finally:
        canaries.remove()
    return of_search(grounds, versions, canaries, searched)


def of_search(
    grounds: Grounds, versions: Sequence[str], canaries: Canaries, searched: Sequence[Searched]
) -> list[Result]:
    """What was found of canaries that somebody planted and searched for."""
    return [_result(grounds, version, "data", [canaries.judge(version, searched)]) for version in versions]


def of_container(grounds: Grounds, version: str) -> Result:
    prefixes = {one: grounds.topology.prefix(one) for one in grounds.versions}
    own = secrets(one for one in grounds.places if one.version == version)
    shown = {one.kind for one in grounds.servers if one.version in (version, "")}
    away = [
        undecided(
            f"folders, account and limits of {place.name} cannot be seen from here: it is no server of the local stack",
            place.at,
            "look at them where it runs",
        )
        for place in grounds.places
        if place.version == version and place.addresses and place.kind not in shown
    ]
    parts = [
        container.folders(version, grounds.folders),
        container.servers(version, grounds.servers, grounds.folders),
        container.workers(version, grounds.workers, prefixes, own),
        Judged(0, tuple(away)),
    ]
    if version in grounds.composed:
        parts.append(composefile.volumes(version, grounds.composed))
    return _result(grounds, version, "container", parts)


def _result(grounds: Grounds, version: str, check: Check, parts: Sequence[Judged]) -> Result:
    unknown = [
        undecided(
            f"`{one}` is declared, and none of its endpoints are known here: nothing could be tried",
            grounds.topology.file,
            f"set {grounds.topology.prefix(one)}MYSQL_URL and the others, or run this where they are known",
        )
        for one in grounds.absent
    ]
    if len(grounds.topology.versions) == 1:
        unknown.append(
            undecided(
                f"`{version}` is the only version", grounds.topology.file, "there is nothing to be kept apart from"
            )
        )
    return result(version, check, [*parts, Judged(0, tuple(unknown))])
