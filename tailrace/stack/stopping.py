"""Stopping servers, by whoever supervises them or has to clean up after who did."""

import signal
import time
from collections.abc import Mapping

from tailrace.stack.process import kill_session, send, wait_gone
from tailrace.stack.state import Running

LOCK = "lock"  # the file in a stack's folder that its supervisor holds locked
GRACE_S = 30.0


def stop_all(servers: Mapping[str, Running], grace_s: float = GRACE_S) -> None:
    """Ask each server to end, the last started first; kill those that still run ``grace_s`` seconds later.

    They end side by side, for none needs another. Also wakes those that were stopped by SIGSTOP.
    """
    for running in reversed(list(servers.values())):
        send(running.identity, signal.Signals[running.stop])
        send(running.identity, signal.SIGCONT)
    deadline = time.monotonic() + grace_s
    for running in reversed(list(servers.values())):
        wait_gone(running.identity, max(0.0, deadline - time.monotonic()))
        kill_session(running.identity)
