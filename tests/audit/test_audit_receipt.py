"""Receipts: any change of a byte is seen, and the key stays what it is."""

from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.erasure.secret import Secret, kept
from audit.receipt import Place, Receipt, Refused, Remains, Sought, Table, named, opened, overall, signed, written
from audit.search.found import Trace
from audit.search.needle import needle
from audit.search.needles import Needles

RECEIPT = Receipt(
    stage=1,
    version="future",
    who="0" * 32,
    began="2026-11-22T07:00:00Z",
    ended="2026-11-22T07:00:09Z",
    verdict="due",
    tables=[Table("users", 1, "deleted")],
    followed=[],
    places=[Place("redis", "values", 12, 3400, "traces", 1, [Trace("copy:7", "users.email")])],
    remains=[Remains("keys", "2026-11-29T07:00:09Z")],
    outside=[Remains("backups")],
    due="2026-11-30T07:00:09Z",
    sought=Sought([needle(b"s", b"wei@example.com", "users.email", strict=True)], {"users": ["ab" * 16]}),
)


def test_a_receipt_is_read_as_it_was_signed() -> None:
    receipt = signed(RECEIPT, Ed25519PrivateKey.generate())
    data = written(receipt)
    assert opened(data) == receipt
    assert len(named(data)) == 64


GOLDEN = Path(__file__).parent / "golden" / "receipt-1.json"


def test_a_receipt_of_an_older_release_is_read_and_looked_for_by() -> None:
    """Its key is all zeros."""
    receipt = opened(GOLDEN.read_bytes())
    assert (receipt.format, receipt.stage) == (1, 1)
    secret = Secret.of(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    needles = Needles(secret.search, receipt.sought.needles)
    assert needles.within("... <资深后端工程师，负责支付系统>, wei.zhang4823@example.com".encode()) == {0, 1}
    assert needles.within("资深后端工程师，负责支付, wei.zhang4823@example.org".encode()) == set()
    again = signed(msgspec.structs.replace(receipt, stage=2, previous="ab"), secret.signing)
    assert opened(written(again)) == again


def test_a_receipt_of_a_newer_release_is_refused() -> None:
    newer = signed(msgspec.structs.replace(RECEIPT, format=3), Ed25519PrivateKey.generate())
    with pytest.raises(Refused, match="of the format 3, and this release reads 1 and 2"):
        opened(written(newer))


def test_any_changed_byte_is_seen() -> None:
    data = written(signed(RECEIPT, Ed25519PrivateKey.generate()))
    for at in range(len(data)):
        for changed in (data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], data[:at] + data[at + 1 :]):
            with pytest.raises(Refused):
                opened(changed)
    for added in (data + b"\n", data[:1] + b" " + data[1:]):
        with pytest.raises(Refused):
            opened(added)


def test_a_receipt_signed_by_another_hand_names_another_key() -> None:
    one, other = (signed(RECEIPT, Ed25519PrivateKey.generate()) for _ in range(2))
    assert opened(written(other)).public_key != one.public_key
    forged = msgspec.structs.replace(one, public_key=other.public_key)
    with pytest.raises(Refused, match="signature"):
        opened(written(forged))


def test_the_worst_verdict_is_that_of_all() -> None:
    def place(verdict: str) -> Place:
        return msgspec.convert(
            {"place": "x", "looked_for": "values", "items": 0, "bytes": 0, "verdict": verdict}, Place
        )

    assert overall([place("clean"), place("due")]) == "due"
    assert overall([place("due"), place("undecided"), place("clean")]) == "undecided"
    assert overall([place("undecided"), place("traces")]) == "traces"
    assert overall([place("clean")]) == "clean"
    assert overall([]) == "undecided"


def test_the_key_is_made_once_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    first, again, other = kept(tmp_path / "k", "future"), kept(tmp_path / "k", "future"), kept(tmp_path / "k", "dao")
    assert first.who("future", "7") == again.who("future", "7")
    assert first.who("future", "7") != other.who("future", "7")
    assert (tmp_path / "k" / "future.key").stat().st_mode & 0o077 == 0
    assert "private" not in repr(first).lower()
    assert sorted(path.name for path in (tmp_path / "k").iterdir()) == ["dao.key", "future.key"]
