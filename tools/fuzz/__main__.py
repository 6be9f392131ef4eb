"""``python -m tools.fuzz``: break recorded streams and have both readers read them, for so many seconds.

What it found stands in ``--keep`` as files that `tests/streams` reads again ever after, and is printed as JSON: streams
tried, processor seconds, faults. It ends with 1 where there is a fault.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tools.fuzz import findings
from tools.fuzz.seeds import all_seeds
from tools.fuzz.worker import PROGRESS, make

HANGS_SECONDS = 20.0
"""What one stream is given, on a busy machine: it takes milliseconds."""
_LOOK_SECONDS = 0.1


@dataclass
class Found:
    """``faults`` by number of their stream."""

    tried: int = 0
    faults: dict[int, str] = field(default_factory=dict)


class Watch:
    """Worker processes one after the other, until the time is up; each begins behind what the last one died of."""

    def __init__(self, readers: str, series: int, seconds: float) -> None:
        self._readers, self._series = readers, series
        self._deadline = time.monotonic() + seconds
        self.found = Found()

    def run(self) -> Found:
        number = 0
        with tempfile.NamedTemporaryFile() as progress:
            while (left := self._deadline - time.monotonic()) > 0:
                progress.seek(0)
                progress.write(PROGRESS.pack(number, 0))
                progress.flush()
                number = self._one(number, left, Path(progress.name))
        return self.found

    def _one(self, first: int, seconds: float, progress: Path) -> int:
        """One worker's life; the number of the stream to go on with."""
        words = [sys.executable, "-m", "tools.fuzz.worker", "--readers", self._readers, "--series", str(self._series)]
        words += ["--first", str(first), "--seconds", str(seconds), "--progress", str(progress)]
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            process = subprocess.Popen(words, stdout=out, stderr=err)
            hangs = self._hangs(process, progress)
            number, tried = PROGRESS.unpack(progress.read_bytes()[: PROGRESS.size])
            self.found.tried += tried
            for stream in (out, err):
                stream.seek(0)
            for line in out:
                told = json.loads(line)
                self.found.faults[told["number"]] = told["fault"]
            if process.returncode == 0:
                return int(number)
            why = "no end in sight" if hangs else f"died with {process.returncode}: {err.read()[-300:]}"
            self.found.faults[number] = why
            return int(number) + 1

    def _hangs(self, process: "subprocess.Popen[bytes]", progress: Path) -> bool:
        """Waits for the end; whether it had to be brought about."""
        seen, since = b"", time.monotonic()
        while process.poll() is None:
            time.sleep(_LOOK_SECONDS)
            now = progress.read_bytes()
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > HANGS_SECONDS:
                process.kill()
                process.wait()
                return True
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="of the clock; 600")
    parser.add_argument("--readers", default="python,native", help="one, or both and compared")
    parser.add_argument("--series", type=int, default=int(time.time()), help="the same number makes the same streams")
    parser.add_argument("--keep", type=Path, default=findings.FOLDER, help="where faults are written")
    asked = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")]))
    found = Watch(asked.readers, asked.series, asked.seconds).run()
    recorded = all_seeds()
    for number in found.faults:
        made = make(recorded, asked.series, number)
        findings.keep(asked.keep / f"{asked.series}-{number}.txt", made.seed, made.events, made.chunks)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = {
        "series": asked.series,
        "readers": asked.readers,
        "tried": found.tried,
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_mb": used.ru_maxrss >> 10,
        "faults": [{"number": number, "fault": fault} for number, fault in sorted(found.faults.items())],
    }
    print(json.dumps(told, ensure_ascii=False))
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
