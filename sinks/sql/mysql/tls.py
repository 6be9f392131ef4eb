"""What a MySQL URL says of TLS, as the driver wants it told; capture's connections go by it too."""

import ssl
from typing import Any

from changes.errors import Misconfigured
from changes.mysqlurl import MysqlUrl


def driver_tls(url: MysqlUrl) -> dict[str, Any]:
    """The driver's options. Raises `Misconfigured` where the file of certificates cannot be used."""
    if url.tls == "preferred":
        return {}  # what the driver does by itself
    if url.tls == "disabled":
        return {"ssl_disabled": True}
    try:
        context = ssl.create_default_context(cafile=url.ca or None)
    except OSError as error:
        raise Misconfigured(f"`ssl_ca` of the MySQL URL, `{url.ca}`, cannot be used: {error}") from error
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # certificates that servers make for themselves lack what it wants
    context.check_hostname = url.tls == "verify-identity"
    if url.tls == "required":
        context.verify_mode = ssl.CERT_NONE
    return {"ssl": context}
