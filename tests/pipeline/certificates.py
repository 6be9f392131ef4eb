"""An authority, and a certificate that it signed for this machine: files for a server and for whoever connects."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificates:
    """``authority`` is what whoever connects trusts; the server has the other two."""

    authority: Path
    certificate: Path
    key: Path

    @property
    def options(self) -> list[str]:
        """The server's."""
        return [f"--ssl-ca={self.authority}", f"--ssl-cert={self.certificate}", f"--ssl-key={self.key}"]


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )


def certificates(folder: Path, address: str = "127.0.0.1") -> Certificates:
    """Made anew, good for a day, the server's for ``address``."""
    folder.mkdir()
    ours, theirs = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _builder("test authority", "test authority", ours).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    server = _builder("test server", "test authority", theirs).add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False
    )
    made = Certificates(folder / "authority.pem", folder / "server.pem", folder / "key.pem")
    made.authority.write_bytes(authority.sign(ours, SHA256()).public_bytes(Encoding.PEM))
    made.certificate.write_bytes(server.sign(ours, SHA256()).public_bytes(Encoding.PEM))
    made.key.write_bytes(theirs.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return made
