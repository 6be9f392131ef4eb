"""Three versions from one compose file: the names and ports that the platform gave them, and nothing in common."""

from collections import Counter
from typing import Any

import pytest
import yaml

from audit.isolation.composefile import Service, interpolated, read
from tailrace.stack import names
from tailrace.stack.compose import FILE
from tailrace.stack.plan import services

TEXT = FILE.read_text()
VERSIONS = ("future", "dao", "blockchain")
SHARED = "shared"
PORTS = {
    "mysql": (3306, 3307, 3308),
    "postgres": (5432, 5433, 5434),
    "redis": (6379, 6380, 6381),
    "neo4j": (7687, 7688, 7689),
    "mongodb": (27017, 27018, 27019),
    "elasticsearch": (9200, 9201, 9202),
    "weaviate": (8082, 8083, 8084),
    "ai_identity": (5435, 5436, 5437),
    "dao": (9506, 9507, 9508),
    "credit": (7534, 7535, 7536),
}
NEO4J_HTTP = (7474, 7475, 7476)
DATABASES = {
    "mysql": "MYSQL_DATABASE",
    "postgres": "TAILRACE_DATABASE",
    "mongodb": "TAILRACE_DATABASE",
    "neo4j": "NEO4J_initial_dbms_default__database",
    "ai_identity": "TAILRACE_DATABASE",
    "dao": "MYSQL_DATABASE",
    "credit": "MYSQL_DATABASE",
}


def variables(version: str) -> dict[str, str]:
    """The lines of a project's env file."""
    lines = (FILE.parent / "deploy" / "versions" / f"{version}.env").read_text().splitlines()
    pairs = (line.partition("=") for line in lines if not line.startswith("#"))
    return {name: value.strip('"') for name, _, value in pairs}


def belongs(about: dict[str, Any], version: str) -> bool:
    """Whether a service is of the project: a version's servers have no profile, or `full`."""
    return bool({SHARED, "rules"} & set(about.get("profiles", ()))) == (version == SHARED)


ENVIRONS = {version: variables(version) for version in (*VERSIONS, SHARED)}
FILES: dict[str, dict[str, Any]] = {
    version: {
        name: about
        for name, about in yaml.safe_load(interpolated(TEXT, environ))["services"].items()
        if belongs(about, version)
    }
    for version, environ in ENVIRONS.items()
}
PROJECTS: dict[str, dict[str, Service]] = {
    version: {one.name: one for one in found if one.name in FILES[version]}
    for version, found in read(TEXT, list(ENVIRONS), ENVIRONS).items()
}


def test_each_version_has_all_its_servers_and_the_shared_project_what_is_left() -> None:
    assert {path.stem for path in (FILE.parent / "deploy" / "versions").iterdir()} == {*VERSIONS, SHARED}
    for version in VERSIONS:
        assert set(PROJECTS[version]) == set(services("full"))
    assert set(PROJECTS[SHARED]) == {"kafka", "kafka-rules", "monitoring", "logs", "configuration"}


def test_ports_are_those_of_the_platform_s_table_and_open_here_alone() -> None:
    for kind, wanted in PORTS.items():
        found = [PROJECTS[version][kind].ports[0] for version in VERSIONS]
        assert found == [("127.0.0.1", str(port)) for port in wanted], kind
    assert [PROJECTS[version]["neo4j"].ports[1][1] for version in VERSIONS] == [str(port) for port in NEO4J_HTTP]


def test_databases_are_called_as_in_the_platform_s_table() -> None:
    found = {
        kind: [FILES[version][kind]["environment"][name] for version in VERSIONS] for kind, name in DATABASES.items()
    }
    assert found == {
        "mysql": [f"jobfirst_{version}" for version in VERSIONS],
        "postgres": [f"jobfirst_{version}_vector" for version in VERSIONS],
        "mongodb": [f"jobfirst_{version}" for version in VERSIONS],
        "neo4j": [f"jobfirst-{version}" for version in VERSIONS],
        "ai_identity": [names.ai_identity(version) for version in VERSIONS],
        "dao": [names.dao(version) for version in VERSIONS],
        "credit": [names.credit(version) for version in VERSIONS],
    }


@pytest.mark.parametrize("what", ["ports", "networks", "volumes"])
def test_no_two_projects_have_any_of_it_in_common(what: str) -> None:
    uses = Counter(
        one
        for found in PROJECTS.values()
        for one in {each for service in found.values() for each in getattr(service, what)}
    )
    assert [one for one, times in uses.items() if times > 1] == []
    assert uses


@pytest.mark.parametrize("what", ["ports", "volumes"])
def test_no_two_servers_have_any_of_it_in_common(what: str) -> None:
    uses = Counter(one for found in PROJECTS.values() for service in found.values() for one in getattr(service, what))
    assert [one for one, times in uses.items() if times > 1] == []


def test_every_service_says_whose_it_is_and_has_limits_and_a_health_check() -> None:
    for version, found in PROJECTS.items():
        for name, service in found.items():
            assert service.limits == {"memory", "cpus"}, name
            assert FILES[version][name]["labels"] == {"tailrace.version": version}
            ends = name == "kafka-rules"  # by itself
            assert FILES[version][name]["healthcheck"].get("disable", False) == ends, name
            assert ("test" in FILES[version][name]["healthcheck"]) != ends, name


def test_a_fourth_version_is_one_more_file_of_variables() -> None:
    (found,) = read(TEXT, ["labs"], {"labs": {"MYSQL_PORT": "3309"}}).values()
    mysql = next(service for service in found if service.name == "mysql")
    assert (mysql.networks, mysql.volumes) == ({"tailrace-labs_stores"}, {"tailrace-labs_mysql"})
    assert mysql.ports == (("127.0.0.1", "3309"),)
