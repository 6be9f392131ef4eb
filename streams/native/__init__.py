"""The sources of the native code (Rust): capture's reader and the pages that audits digest; and what they hash to.

`tools/bootstrap.py` builds them where a Rust compiler is, into the module ``tailrace_native``; `streams.capture.engine`
decides whether it is used.
"""

import hashlib
from pathlib import Path

SOURCES = Path(__file__).parent
MODULE = "tailrace_native"


def sources_hash(folder: Path = SOURCES) -> str:
    """16 hex digits of all that the module is built from; empty where the sources are not there."""
    files = [folder / "Cargo.toml", folder / "Cargo.pins", *sorted((folder / "src").rglob("*.rs"))]
    if not all(file.exists() for file in files[:2]):
        return ""
    digest = hashlib.sha256()
    for file in files:
        data = file.read_bytes()
        digest.update(f"{file.relative_to(folder).as_posix()}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:16]
