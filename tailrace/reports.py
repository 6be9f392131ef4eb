"""What running workers say of themselves: one small JSON file each, written anew every second.

A reader takes a file older than `STALE_SECONDS` for silence: what is not known is shown as unknown.
"""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

STALE_SECONDS = 5.0


class Reports:
    """The reports of one version's workers."""

    def __init__(self, folder: Path, version: str) -> None:
        self.folder = folder / "reports" / version

    @property
    def socket(self) -> Path:
        """Where the version's agent answers, beside its report ``agent.json``."""
        return self.folder / "agent.sock"

    def write(self, worker: str, report: Mapping[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / f"{worker}.json"
        passing = path.with_name(f"{worker}.{os.getpid()}.passing")
        passing.write_text(json.dumps({"at": time.time(), "pid": os.getpid(), **report}))
        passing.replace(path)

    def fresh(self) -> dict[str, dict[str, Any]]:
        """By worker, those that are not stale."""
        found: dict[str, dict[str, Any]] = {}
        for path in sorted(self.folder.glob("*.json")):
            try:
                report = json.loads(path.read_text())
            except (OSError, ValueError):  # being replaced, or left half-written by a full disk
                continue
            if time.time() - report.get("at", 0) <= STALE_SECONDS:
                found[path.stem] = report
        return found
