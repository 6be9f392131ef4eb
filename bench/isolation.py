"""Twelve sabotages: each check of each version is broken once, and must say so. The versions' servers are real.

    python -m bench.isolation [--json]

Before the first and behind the last all twelve checks must pass.
"""

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from audit.isolation.report import CHECKS
from bench.isolated import Scene, scene
from bench.sabotages import sabotages


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _all_pass(stage: Scene) -> dict[str, dict[str, str]]:
    seen = stage.grounds()
    return {check: {version: result.verdict for version, result in stage.look(check, seen).items()} for check in CHECKS}


def main(words: Sequence[str]) -> int:
    with tempfile.TemporaryDirectory() as folder, scene(Path(folder), _say) as stage:
        whole = [_all_pass(stage)]
        rows = []
        for one in sabotages():
            begun = time.monotonic()
            with one.spoilt(stage) as seen:
                results = stage.look(one.check, seen, one.between(stage))
            failed = {version for version, result in results.items() if result.verdict == "fail"}
            told = [finding.what for finding in results[one.version].findings if one.told in finding.what]
            rows.append(
                {
                    "check": one.check,
                    "version": one.version,
                    "sabotage": one.what,
                    "found": failed == one.fails and bool(told),
                    "said": told[0] if told else "",
                    "seconds": round(time.monotonic() - begun, 1),
                }
            )
        whole.append(_all_pass(stage))
    found = sum(bool(row["found"]) for row in rows)
    passed = [sum(verdict == "pass" for versions in one.values() for verdict in versions.values()) for one in whole]
    if "--json" in words:
        print(json.dumps({"sabotages": rows, "found": found, "passed": passed}))
    else:
        for row in rows:
            print(f"{row['check']:10} {row['version']:11} {'found' if row['found'] else 'MISSED':7} {row['sabotage']}")
        print(f"{found} of {len(rows)} sabotages found; {passed[0]} of 12 checks pass before, {passed[1]} behind")
    return 0 if found == len(rows) and passed == [12, 12] else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
