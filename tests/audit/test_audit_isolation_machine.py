"""What isolation decides of sockets, folders, processes and compose files: pure."""

import os
import socket
from pathlib import Path

import pytest

from audit.isolation import machine
from audit.isolation.composefile import Composed, interpolated, networks, read, volumes
from audit.isolation.container import Folder, Server, Worker, folders, servers, workers
from audit.isolation.network import Running, Socket, disjoint, listening
from audit.isolation.places import place
from audit.isolation.report import Judged
from changes.errors import Misconfigured


def words(found: Judged) -> list[tuple[str, str]]:
    return [(finding.verdict, finding.what) for finding in found.findings]


# -- addresses ------------------------------------------------------------------------------------------------------


def together(kind: str, mine: str, theirs: str) -> list[str]:
    """What is said of two endpoints of one kind."""
    both = [place("future", kind, mine), place("dao", kind, theirs)]
    return [what for _, what in words(disjoint("future", both, {"db": {"10.0.0.1"}, "10.0.0.1": {"10.0.0.1"}}))]


def test_one_database_of_one_server_is_one_place_whatever_it_is_called() -> None:
    assert together("postgres", "postgresql://a:b@db/x", "postgresql://c:d@10.0.0.1/x") == [
        "`postgres` of `future` and `postgres` of `dao` are one place"
    ]
    assert together("postgres", "postgresql://a:b@db/x", "postgresql://c:d@10.0.0.1/y") == []
    assert together("postgres", "postgresql://a:b@db/x", "postgresql://c:d@10.0.0.1:5433/x") == []


def test_numbers_of_one_redis_and_databases_of_one_source_are_not_apart() -> None:
    assert "two numbers of one Redis" in together("redis", "redis://:a@h/0", "redis://:b@h/3")[0]
    assert "whose binlog" in together("mysql", "mysql://a:b@h/x", "mysql://c:d@h/y")[0]
    assert together("dao", "mysql://a:b@h/x", "mysql://c:d@h/y") == []


def test_kafka_is_shared() -> None:
    assert together("kafka", "kafka://a:b@h", "kafka://c:d@h") == []


REDIS = place("future", "redis", "redis://:a@127.0.0.1:70/0")
RUNNING = Running("future.redis", "future", "redis", frozenset({7}))


def heard(*sockets: Socket, running: tuple[Running, ...] = (RUNNING,)) -> list[tuple[str, str]]:
    return words(listening("future", [REDIS], running, sockets))


def test_who_listens() -> None:
    own = Socket("127.0.0.1", 70, frozenset({7}))
    assert heard(own) == []
    assert heard(own, Socket("::1", 71, frozenset({7}))) == []
    assert heard(own, Socket("0.0.0.0", 71, frozenset({9}))) == []  # noqa: S104  of nobody here
    assert heard(own, Socket("::", 71, frozenset({7}))) == [
        ("fail", "`future.redis` listens on ::, where other machines reach it")
    ]
    assert heard(Socket("127.0.0.1", 70, frozenset({9})))[0][0] == "fail"
    assert heard(Socket("127.0.0.1", 70, frozenset()))[0][0] == "undecided"
    assert heard()[0] == ("undecided", "nobody listens on port 70 of `redis` of `future`")
    assert heard(own, running=())[0][0] == "undecided"


def test_the_kernel_tells_who_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert [one for one in machine.sockets() if one.port == port] == [
            Socket("127.0.0.1", port, frozenset({os.getpid()}))
        ]


# -- folders and processes ------------------------------------------------------------------------------------------


def folder(version: str, path: str, mode: int | None = 0o40700, owner: int | None = 5) -> Folder:
    return Folder(version, "the folder", Path(path), Path(path), mode, owner, 5)


def test_folders_are_closed_and_their_servers_own() -> None:
    assert words(folders("future", [folder("future", "/a"), folder("dao", "/b"), folder("", "/")])) == []
    assert words(folders("future", [folder("future", "/a", 0o40750)])) == [
        ("fail", "the folder is open to other accounts (mode 0750)")
    ]
    assert words(folders("future", [folder("future", "/a", owner=6)]))[0][0] == "fail"
    assert words(folders("future", [folder("future", "/a", None, None)]))[0][0] == "undecided"
    nobody = Folder("future", "the folder", Path("/a"), Path("/a"), 0o40700, 5, None)
    assert words(folders("future", [nobody]))[0][0] == "undecided"
    assert words(folders("future", [folder("dao", "/a", 0o40777)])) == []


@pytest.mark.parametrize("theirs", ["/a", "/a/b", "/"])
def test_folders_of_two_versions_lie_apart(theirs: str) -> None:
    assert (
        "are one place on the disk" in words(folders("future", [folder("future", "/a"), folder("dao", theirs)]))[0][1]
    )


def server(version: str, *command: str, opened: frozenset[Path] | None = frozenset()) -> Server:
    return Server(f"{version}.postgres", version, "postgres", command or None, opened)


LIMITS = ("postgres", "-c", "shared_buffers=64MB", "-c", "max_connections=100")


def test_servers_are_bounded_and_open_their_own_files() -> None:
    own = [folder("future", "/a")]
    assert words(servers("future", [server("future", *LIMITS), server("dao", *LIMITS)], own)) == []
    assert words(servers("future", [server("future", *LIMITS[:3])], own)) == [
        (
            "fail",
            "`future.postgres` runs without the limit `max_connections`, and may take what the other versions need",
        )
    ]
    assert words(servers("future", [server("future")], own))[0][0] == "undecided"
    foreign = server("dao", *LIMITS, opened=frozenset({Path("/a/base/1"), Path("/ab")}))
    assert words(servers("future", [foreign], own)) == [("fail", "`dao.postgres` has a file of `future` open")]
    assert words(servers("future", [server("dao", *LIMITS, opened=None)], own))[0][0] == "undecided"


def test_a_process_holds_no_variable_of_another_version() -> None:
    prefixes = {"future": "FUTURE_", "dao": "DAO_"}

    def told(environ: dict[str, str] | None) -> list[tuple[str, str]]:
        return words(workers("future", [Worker("capture", "dao", 9, environ)], prefixes, {"geheim"}))

    assert told({"DAO_MYSQL_URL": "x"}) == []
    assert told({"FUTURE_X": "x"}) == [("fail", "`capture` of `dao` holds the variable `FUTURE_X` of `future`")]
    assert told({"OTHER": "a geheim b"}) == [("fail", "`capture` of `dao` holds the variable `OTHER` of `future`")]
    assert told(None)[0][0] == "undecided"


# -- compose files --------------------------------------------------------------------------------------------------

VERSIONS = ("future", "dao")
LIMITED = 'deploy: {resources: {limits: {memory: 1g, cpus: "1"}}}'
PROJECTS = f"""
name: tailrace-${{TAILRACE_VERSION:-future}}
services:
  redis:
    labels: {{tailrace.version: "${{TAILRACE_VERSION:-future}}"}}
    networks: [stores]
    volumes: ["data:/data"]
    ports: ["127.0.0.1:${{REDIS_PORT:-6379}}:6379"]
    {LIMITED}
  kafka:
    labels: {{tailrace.version: shared}}
    networks: [shared]
networks: {{stores: {{}}, shared: {{}}}}
volumes: {{data: {{}}}}
"""
SERVICES = f"""
name: all
services:
  future-redis: {{networks: [future], volumes: ["future-data:/data"], {LIMITED}}}
  dao-redis: {{networks: [dao], volumes: ["dao-data:/data"], {LIMITED}}}
networks: {{future: {{}}, dao: {{}}}}
volumes: {{future-data: {{}}, dao-data: {{}}}}
"""


def composed(text: str) -> Composed:
    return read(text, VERSIONS, {})


def told(text: str) -> list[str]:
    """All that is said of the first version."""
    both = networks("future", composed(text)) + volumes("future", composed(text))
    assert both.looked_at > 0
    return [what for _, what in words(both)]


@pytest.mark.parametrize("text", [PROJECTS, SERVICES])
def test_a_file_that_keeps_versions_apart(text: str) -> None:
    assert told(text) == []
    assert [service.name.rpartition("-")[2] for service in composed(text)["dao"]] == ["redis"]


@pytest.mark.parametrize(
    ("text", "written", "instead", "said"),
    [
        (PROJECTS, "-${TAILRACE_VERSION:-future}\n", "\n", "is on the network `tailrace_stores`"),
        (PROJECTS, "{stores: {},", "{stores: {external: true},", "is on the network `stores`"),
        (PROJECTS, "{data: {}}", "{data: {name: everybody}}", "have the volume `everybody`"),
        (PROJECTS, "data:/data", "/srv/data:/data", "have the volume `/srv/data`"),
        (PROJECTS, "networks: [stores]", "network_mode: host", "is on the host's own network"),
        (PROJECTS, "127.0.0.1:$", "$", "port 6379 of `redis` is published on every address"),
        (PROJECTS, "127.0.0.1:$", "0.0.0.0:$", "port 6379 of `redis` is published on 0.0.0.0"),
        (PROJECTS, 'memory: 1g, cpus: "1"', "memory: 1g", "`redis` has no limit of cpus"),
        (PROJECTS, "networks: [stores]", "privileged: true", "`redis` has `privileged`"),
        (PROJECTS, "data:/data", "/var/run/docker.sock:/s", "`redis` has `/var/run/docker.sock`"),
        (SERVICES, "networks: [dao]", "networks: [dao, future]", "is on the network `all_future`"),
        (SERVICES, "dao-data:/data", "future-data:/data", "have the volume `all_future-data`"),
    ],
)
def test_what_breaks_a_file(text: str, written: str, instead: str, said: str) -> None:
    assert written in text
    assert [what for what in told(text.replace(written, instead)) if said in what]


def test_services_without_a_network_are_on_the_project_s() -> None:
    bare = SERVICES.replace("networks: [future], ", "").replace("networks: [dao], ", "")
    assert "is on the network `all_default`" in told(bare)[0]


def test_variables_as_compose_has_them() -> None:
    environ = {"A": "1", "EMPTY": ""}
    assert (
        interpolated("$A ${A} ${A:-x} ${NONE:-x${A}} ${NONE-} ${EMPTY-y}${EMPTY:-z} $$A", environ) == "1 1 1 x1  z $A"
    )
    assert interpolated("${A:+set}${NONE:+set} ${NONE:?must be set}", environ) == "set "


def test_what_is_no_compose_file_is_refused() -> None:
    for text in ("services: [", "services: 7", "{}"):
        with pytest.raises(Misconfigured):
            composed(text)
