"""Log lines on standard error: WARNING is recovered and nothing was lost, ERROR is for somebody to act on."""

import logging
import sys


def set_up(who: str) -> None:
    """``who`` stands in every line of this process."""
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format=f"%(asctime)s %(levelname)s {who}: %(message)s",
        datefmt="%H:%M:%S",
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each call that went well
