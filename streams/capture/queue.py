"""Batches read ahead by a thread of their own, in bounded memory."""

import threading
from collections import deque
from collections.abc import Iterator

from streams.capture.batch import Read

READ_AHEAD_BYTES = 12 << 20


class BatchQueue:
    """A queue bounded by the bytes in it; one batch larger than the bound passes alone."""

    def __init__(self, limit: int = READ_AHEAD_BYTES) -> None:
        self._limit = limit
        self._items: deque[Read] = deque()
        self._bytes = 0
        self._error: Exception | None = None
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: Read) -> bool:
        """Waits for room; ``False`` once the queue is closed."""
        size = item.batch.size
        with self._changed:
            while self._bytes and self._bytes + size > self._limit and not self._closed:
                self._changed.wait()
            if self._closed:
                return False
            self._items.append(item)
            self._bytes += size
            self._changed.notify_all()
            return True

    def fail(self, error: Exception) -> None:
        """What `get` raises once everything before it was taken."""
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def get(self, timeout: float) -> Read | None:
        """The next batch, or ``None`` where none came within ``timeout`` seconds."""
        with self._changed:
            if not self._items and self._error is None and timeout > 0:
                self._changed.wait(timeout)
            if self._items:
                item = self._items.popleft()
                self._bytes -= item.batch.size
                self._changed.notify_all()
                return item
            if self._error is not None:
                raise self._error
            return None

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def fill(self, reads: Iterator[Read]) -> threading.Thread:
        """Start the thread that moves ``reads`` in here until they fail or the queue is closed."""
        thread = threading.Thread(target=self._move, args=(reads,), name="binlog", daemon=True)
        thread.start()
        return thread

    def _move(self, reads: Iterator[Read]) -> None:
        try:
            for read in reads:
                if not self.put(read):
                    return
        except Exception as error:  # noqa: BLE001 - not swallowed: `get` raises it in the thread that can act
            self.fail(error)
