"""The service units: one for each process of a version, each with that version's environment and no other's."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tailrace.pipeline import EVERY_ROLE

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
GROUP = (UNITS / "tailrace-.service.d" / "group.conf").read_text()
SERVICES = {path.name.removeprefix("tailrace-").partition("@")[0]: path for path in UNITS.glob("*.service")}
NEWER = {"RestartSteps", "RestartMaxDelaySec"}
"""Settings that systemd knows from 254 on, and says so before."""


def settings(text: str, name: str) -> list[str]:
    """The values of a setting, in their order."""
    return re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)


def test_every_process_of_a_version_has_a_unit_and_belongs_to_the_version_s_target() -> None:
    assert set(SERVICES) == {*EVERY_ROLE, "console"}
    (wanted,) = settings((UNITS / "tailrace@.target").read_text(), "Wants")
    assert wanted.split() == [f"tailrace-{role}@%i.service" for role in ("capture", "enrich", "deliver", "audit")]
    for role in EVERY_ROLE:
        text = SERVICES[role].read_text()
        assert settings(text, "ExecStart") == [f"/opt/tailrace/bin/tailrace run --version %i --only {role}"]
        assert settings(text, "PartOf") == settings(text, "WantedBy") == ["tailrace@%i.target"]


def test_a_unit_is_given_the_secrets_of_its_version_alone() -> None:
    assert settings(GROUP, "EnvironmentFile") == ["/etc/tailrace/%i.env"]
    assert settings(GROUP, "User") == settings(GROUP, "Group") == ["tailrace-%i"]
    assert settings(SERVICES["console"].read_text(), "EnvironmentFile") == ["", "/etc/tailrace/%i.console.env"]
    folders = [value for name in ("StateDirectory", "CacheDirectory") for value in settings(GROUP, name)]
    assert folders == ["tailrace/%i", "tailrace/%i"]


def test_what_fails_is_started_again_and_what_is_wrongly_configured_is_not() -> None:
    for name, value in (("Restart", "on-failure"), ("StartLimitIntervalSec", "0"), ("RestartPreventExitStatus", "78")):
        assert settings(GROUP, name) == [value]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd is installed here")
def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    """The program is not where it will be, so another stands in for it."""
    shutil.copytree(UNITS, tmp_path / "units")
    for role, path in SERVICES.items():
        text = path.read_text().replace("/opt/tailrace/bin/tailrace", "/bin/true")
        (tmp_path / "units" / f"tailrace-{role}@future.service").write_text(text)
        (tmp_path / "units" / f"tailrace-{role}@.service").write_text(text)
    names = [f"tailrace-{role}@future.service" for role in SERVICES] + ["tailrace@.target"]
    done = subprocess.run(
        ["systemd-analyze", "verify", *names],
        cwd=tmp_path / "units",
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path / 'units'}:", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    told = [line for line in done.stderr.splitlines() if not any(f"'{name}'" in line for name in NEWER)]
    assert (done.returncode, told) == (0, [])
