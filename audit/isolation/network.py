"""Whether versions share an address, and who else can reach what listens here: decided from what was seen. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from audit.isolation.places import Address, Place
from audit.isolation.report import Finding, Judged, fail, undecided


@dataclass(frozen=True)
class Socket:
    """Something listens: at ``address`` (an IP address), held by ``pids``; none where nobody may tell."""

    address: str
    port: int
    pids: frozenset[int]


@dataclass(frozen=True)
class Running:
    """A server of the local stack: whose it is (a version, or ``""`` for what all share), and its processes."""

    name: str
    version: str
    kind: str
    pids: frozenset[int]


Resolved = Mapping[str, Collection[str]]
"""The IP addresses of a host's name; a name that cannot be resolved stands for itself."""


def disjoint(version: str, places: Sequence[Place], resolved: Resolved) -> Judged:
    """Whether an endpoint of ``version`` is one of another version too.

    Kafka is shared by design: principals and prefixes keep versions apart there. A server of SQL or MongoDB may hold
    databases of several versions, each with its own account; not the source, whose binlog holds the rows of all its
    databases, and not a server whose parts share a password.
    """
    own = [one for one in places if one.version == version and one.family != "kafka"]
    others = [one for one in places if one.version != version and one.family != "kafka"]
    findings = [found for mine in own for theirs in others for found in _shared(mine, theirs, resolved)]
    return Judged(len(own), tuple(findings))


def _shared(mine: Place, theirs: Place, resolved: Resolved) -> Iterator[Finding]:
    if mine.family != theirs.family or not _meet(mine, theirs, resolved):
        return
    where = mine.at
    if mine.database == theirs.database:
        yield fail(
            f"{mine.name} and {theirs.name} are one place", where, "give each version a server of its own for this kind"
        )
    elif mine.family == "redis":
        yield fail(
            f"{mine.name} and {theirs.name} are two numbers of one Redis, which anybody inside may change",
            where,
            "give each version a Redis of its own",
        )
    elif "mysql" in (mine.kind, theirs.kind):
        yield fail(
            f"{mine.name} and {theirs.name} are one server, whose binlog tells capture the rows of both",
            where,
            "give each version a MySQL of its own",
        )


def _meet(mine: Place, theirs: Place, resolved: Resolved) -> bool:
    if mine.family == "sqlite":
        return False  # a folder: `container` looks at those

    def spread(place: Place) -> set[Address]:
        return {(ip, port) for host, port in place.addresses for ip in resolved.get(host, (host,))}

    return bool(spread(mine) & spread(theirs))


def listening(version: str, places: Sequence[Place], running: Sequence[Running], sockets: Sequence[Socket]) -> Judged:
    """Who can reach the servers of ``version``, and whether those that answer for it are its own.

    Servers that are not of the local stack cannot be seen from here.
    """
    own = [one for one in places if one.version == version and one.addresses]
    looked, findings = 0, list[Finding]()
    for place in own:
        server = next((one for one in running if one.kind == place.kind and one.version in (version, "")), None)
        if server is None:
            findings.append(
                undecided(
                    f"who can reach {place.name} cannot be seen from here: it is no server of the local stack",
                    place.at,
                    "look at what it listens on, and at its firewall: only its own version's processes are to reach it",
                )
            )
            continue
        looked += len(place.addresses)
        findings += _answered(place, server, sockets)
    mine = [one for one in running if one.version in (version, "")]
    for server in mine:
        heard = [socket for socket in sockets if socket.pids & server.pids]
        looked += len(heard)
        findings += [found for socket in heard for found in _exposed(server, socket)]
    return Judged(looked, tuple(findings))


def _answered(place: Place, server: Running, sockets: Sequence[Socket]) -> Iterator[Finding]:
    for _, port in place.addresses:
        at_port = [socket for socket in sockets if socket.port == port]
        if not at_port:
            yield undecided(
                f"nobody listens on port {port} of {place.name}", place.at, "start the server and look again"
            )
        elif any(not socket.pids for socket in at_port):
            yield undecided(
                f"who listens on port {port} of {place.name} is not told to this account",
                place.at,
                "run this as the account that the servers run under, or as root",
            )
        elif not all(socket.pids <= server.pids for socket in at_port):
            strangers = sorted({pid for socket in at_port for pid in socket.pids - server.pids})
            yield fail(
                f"port {port} of {place.name} is held by process {strangers[0]}, which is none of `{server.name}`",
                place.at,
                "end that process, and start the server again",
            )


def _exposed(server: Running, socket: Socket) -> Iterator[Finding]:
    if not ip_address(socket.address.partition("%")[0]).is_loopback:
        yield fail(
            f"`{server.name}` listens on {socket.address}, where other machines reach it",
            f"port {socket.port}",
            "have it listen on 127.0.0.1 only",
        )
