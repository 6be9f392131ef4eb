"""Three versions from one compose file: the names and ports that the platform gave them, and nothing in common."""

from collections import Counter

import pytest
from composition import SHARED, Service, declared_projects, interpolated, project, variables

from tailrace.stack import names
from tailrace.stack.compose import FILE
from tailrace.stack.plan import services

PROJECTS = declared_projects(FILE.read_text())
VERSIONS = ("future", "dao", "blockchain")
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
DATABASES = {
    "mysql": "MYSQL_DATABASE",
    "postgres": "TAILRACE_DATABASE",
    "mongodb": "TAILRACE_DATABASE",
    "neo4j": "NEO4J_initial_dbms_default__database",
    "ai_identity": "TAILRACE_DATABASE",
    "dao": "MYSQL_DATABASE",
    "credit": "MYSQL_DATABASE",
}


def of(version: str, name: str) -> Service:
    return next(service for service in PROJECTS[version] if service.name == name)


def test_each_version_has_all_its_servers_and_the_shared_project_what_is_left() -> None:
    assert set(PROJECTS) == {*VERSIONS, SHARED}
    for version in VERSIONS:
        assert {service.name for service in PROJECTS[version]} == set(services("full"))
    assert {service.name for service in PROJECTS[SHARED]} == {
        *("kafka", "kafka-rules", "monitoring", "logs", "configuration")
    }


def test_ports_are_those_of_the_platform_s_table() -> None:
    found = {kind: tuple(of(version, kind).ports[0][1] for version in VERSIONS) for kind in PORTS}
    assert found == PORTS
    assert [of(version, "neo4j").ports[1][1] for version in VERSIONS] == [7474, 7475, 7476]


def test_databases_are_called_as_in_the_platform_s_table() -> None:
    found = {kind: [of(version, kind).environment[name] for version in VERSIONS] for kind, name in DATABASES.items()}
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
def test_no_two_versions_have_any_of_it_in_common(what: str) -> None:
    uses = Counter(
        one for found in PROJECTS.values() for one in {each for service in found for each in getattr(service, what)}
    )
    assert [one for one, times in uses.items() if times > 1] == []


def test_no_two_servers_have_a_port_or_a_volume_in_common() -> None:
    for what in ("ports", "volumes"):
        uses = Counter(one for found in PROJECTS.values() for service in found for one in getattr(service, what))
        assert [one for one, times in uses.items() if times > 1] == [], what


def test_every_service_says_whose_it_is_and_has_limits_and_a_health_check() -> None:
    for version, found in PROJECTS.items():
        for service in found:
            assert service.version == version, service.name
            assert service.memory, service.name
            assert service.cpus, service.name
            assert service.healthy or service.name == "kafka-rules", service.name  # which ends by itself
            assert {address for address, _ in service.ports} <= {"127.0.0.1"}, service.name


def test_a_fourth_version_is_one_more_file_of_variables() -> None:
    given = variables('# the fourth\nTAILRACE_VERSION=labs\nMYSQL_PORT=3309\nDAO_DATABASE="dao_governance_labs"\n')
    found = {service.name: service for service in project(FILE.read_text(), given)}
    assert found["mysql"].networks == ("tailrace-labs_stores",)
    assert found["mysql"].volumes == ("tailrace-labs_mysql",)
    assert found["mysql"].ports == (("127.0.0.1", 3309),)
    assert found["dao"].environment["MYSQL_DATABASE"] == "dao_governance_labs"
    assert {service.version for service in found.values()} == {"labs"}


def test_a_network_or_volume_that_is_named_outright_is_seen_to_be_shared() -> None:
    text = FILE.read_text().replace("  stores: {}\n", "  stores: {name: everyone}\n")
    text = text.replace("\n  redis: {}\n", "\n  redis: {external: true, name: kept}\n")
    future, dao = ({one.name: one for one in project(text, {"TAILRACE_VERSION": name})} for name in ("future", "dao"))
    assert future["mysql"].networks == dao["mysql"].networks == ("everyone",)
    assert future["redis"].volumes == dao["redis"].volumes == ("kept",)


def test_variables_are_put_in_as_compose_does() -> None:
    assert interpolated("${A} ${B:-two} ${C:-} $${A} ${D:-x}", {"A": "1", "D": ""}) == "1 two  ${A} x"
