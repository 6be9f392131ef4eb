"""The version's key: it signs receipts, and what is looked for is hashed with a secret made of it."""

import hmac
import os
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.search.needle import digest
from changes.errors import Misconfigured


@dataclass(frozen=True)
class Secret:
    signing: Ed25519PrivateKey = field(repr=False)
    search: bytes = field(repr=False)

    @classmethod
    def of(cls, signing: Ed25519PrivateKey) -> "Secret":
        return cls(signing, hmac.digest(signing.private_bytes_raw(), b"what is looked for", "sha256"))

    def who(self, version: str, user: str) -> str:
        """The keyed hash that stands for a person."""
        return digest(self.search, f"who {version} {user}".encode())

    def key(self, table: str, kafka_key: bytes) -> str:
        """The keyed hash that stands for a row: ``kafka_key`` is the key of its records."""
        return digest(self.search, b"key " + table.encode() + b" " + kafka_key)


def kept(folder: Path, version: str) -> Secret:
    """The version's key, made where there is none. Raises `Misconfigured` where its file cannot be read or written."""
    path = folder / f"{version}.key"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            pem = Ed25519PrivateKey.generate().private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            passing = path.with_suffix(f".{os.getpid()}")
            with open(os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(pem)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(passing, path)  # of two that are made at once the first stays
            except FileExistsError:
                pass
            finally:
                passing.unlink()
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError) as error:
        raise Misconfigured(f"the key in `{path}` cannot be used: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Misconfigured(f"the key in `{path}` is none of Ed25519")
    return Secret.of(key)
