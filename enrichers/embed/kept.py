"""The graph as a file: made once for each user, checked whenever it is used."""

import os
import tempfile
from pathlib import Path

from changes.errors import Misconfigured
from enrichers.embed import MODEL
from enrichers.embed.weights import SHA256, WEIGHTS, checked, sha256


def ensure(model: Path, folder: Path, version: int) -> Path:
    """The path of the graph in ``folder``, made from the weights in ``model`` where it is absent or not what was kept.

    The file's own SHA-256 stands beside it. Files appear whole or not at all; two processes that make the graph at
    once do so twice and end with one. Raises `Misconfigured` where the weights or the folder cannot be used.
    """
    weights = checked(model, WEIGHTS)
    path = folder / f"{MODEL}-{SHA256[WEIGHTS][:12]}-{version}.onnx"
    record = path.with_suffix(".sha256")
    if _is_kept(path, record):
        return path
    from safetensors.numpy import load_file  # noqa: PLC0415  what makes the graph is needed once

    from enrichers.embed.graph import build  # noqa: PLC0415

    data = build({name.removeprefix("bert."): array for name, array in load_file(weights).items()})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(path, data)
        _write(record, sha256(path).encode())
    except OSError as error:
        raise Misconfigured(
            f"the model's graph cannot be kept in `{folder}`: {error.strerror}; name another folder in `TAILRACE_CACHE`"
        ) from error
    return path


def _is_kept(path: Path, record: Path) -> bool:
    try:
        return record.read_text(errors="replace") == sha256(path)
    except OSError:  # whatever is wrong with it is told when it cannot be made again
        return False


def _write(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except OSError:
        os.unlink(name)
        raise
