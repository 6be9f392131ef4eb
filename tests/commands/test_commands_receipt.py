"""``tailrace receipt verify --offline``: without any server, whether a receipt is as it was signed."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.receipt import Place, Receipt, Sought, signed, written
from tailrace.cli import cli

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    receipt = Receipt(
        stage=1,
        version="future",
        who="0" * 32,
        began="2026-11-22T07:00:00Z",
        ended="2026-11-22T07:00:09Z",
        verdict="due",
        tables=[],
        followed=[],
        places=[Place("redis", "values", 1, 2, "clean")],
        remains=[],
        outside=[],
        due="2026-11-30T07:00:09Z",
        sought=Sought(),
    )
    path = tmp_path / "receipt.json"
    path.write_bytes(written(signed(receipt, KEY)))
    return path


def test_a_receipt_as_it_was_signed_is_right(path: Path) -> None:
    result = CliRunner().invoke(cli, ["receipt", "verify", str(path), "--offline", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    public = KEY.public_key().public_bytes_raw().hex()
    assert told == {"signature": "right", "public_key": public, "stage": 1, "verdict": "due"}


@pytest.mark.parametrize(
    "change", [(b'"due"', b'"clean"'), (b"redis", b"mysql"), (b"{", b"{ "), (b"07:00:09", b"07:00:08")]
)
def test_a_changed_one_is_not(path: Path, change: tuple[bytes, bytes]) -> None:
    path.write_bytes(path.read_bytes().replace(*change, 1))
    result = CliRunner().invoke(cli, ["receipt", "verify", str(path), "--offline", "--json"])
    assert result.exit_code == 3
    assert json.loads(result.stdout)["signature"] == "wrong"


def test_what_is_no_receipt_is_told(path: Path) -> None:
    path.write_text("nothing of the sort")
    result = CliRunner().invoke(cli, ["receipt", "verify", str(path), "--offline"])
    assert result.exit_code == 3
    assert "it is no receipt" in result.output
