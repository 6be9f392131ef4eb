"""The compose file has every server that a stack may need, and what it asks for is what it is given."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tailrace.stack.compose import FILE, KAFKA, Compose
from tailrace.stack.endpoints import VARIABLES
from tailrace.stack.host import Host
from tailrace.stack.plan import services
from tailrace.stack.settings import Settings

TEXT = FILE.read_text()
DECLARED: dict[str, Any] = yaml.safe_load(TEXT)
BESIDE = {"MONITORING_PORT", "LOGS_PORT", "CONFIGURATION_PORT", "CONSOLES"}
"""Of services that a stack does not start."""
ASKED = re.compile(r"(?<!\$)\$\{([A-Z0-9_]+)")


@pytest.fixture
def compose(tmp_path: Path) -> Compose:
    wanted = {"future": services("full"), "dao": services("full"), KAFKA: [KAFKA]}
    return Compose(Host(tmp_path, {}, print), Settings(tmp_path), tmp_path, wanted)


def test_every_kind_of_server_is_a_service_with_a_health_check_limits_and_a_volume() -> None:
    for kind in {*VARIABLES} - {"sqlite"}:
        service = DECLARED["services"][kind]
        assert service["healthcheck"]["test"], kind
        assert set(service["deploy"]["resources"]["limits"]) == {"memory", "cpus"}, kind
        assert [volume.split(":")[0] in DECLARED["volumes"] for volume in service["volumes"]] == [True], kind


def test_ports_are_open_on_the_loopback_interface_alone() -> None:
    for name, service in DECLARED["services"].items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name


def test_only_what_the_profile_core_has_starts_by_itself() -> None:
    named = {name for name, service in DECLARED["services"].items() if "full" in service.get("profiles", ())}
    assert named == {*services("full")} - {*services("core")}


def test_all_that_the_file_asks_for_is_given(compose: Compose) -> None:
    given = compose._env("future")
    asked = {name for name in ASKED.findall(TEXT) if not name.endswith("_IMAGE")}
    assert asked - given.keys() == BESIDE
    assert all(given.values())


def test_versions_share_no_port_no_password_and_no_database_but_kafka_s(compose: Compose) -> None:
    future, dao = compose._env("future"), compose._env("dao")
    assert {name for name in future if future[name] == dao[name]} == {
        "TAILRACE_VERSIONS",
        "KAFKA_ADMIN_PASSWORD",
        "KAFKA_PORT",
        "KAFKA_USERS",
    }


def test_every_kind_has_an_endpoint(compose: Compose) -> None:
    assert compose.endpoints("future").keys() == VARIABLES.keys() - {"sqlite"}
    assert compose.endpoints("dao")["credit"].endswith("/enterprise_credit_dao")
