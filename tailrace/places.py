"""Where the pipeline's own files are."""

import os
from pathlib import Path

from tailrace.stack.places import state_folder


def home() -> Path:
    """The folder of running data."""
    return state_folder(os.environ)
