"""The thread that reads chunks, so that a slow SELECT never holds up the stream."""

from queue import Empty, SimpleQueue
from threading import Thread

from streams.capture.select import TEXT_PROTOCOL
from streams.capture.snapshot import Altered, Chunk, ChunkRequest, Refused, Source, read_chunk
from streams.mysql import MysqlUrl, session

IDLE_SECONDS = 10.0
"""How long its connection stays open while nothing is asked for."""
MODE = "SET SESSION sql_mode = ''"
"""Values as they are stored: no mode pads a CHAR, or refuses to be asked for what is behind a zero date."""


class ChunkReader:
    """One chunk at a time."""

    def __init__(self, url: MysqlUrl, source: Source) -> None:
        self._url, self._source = url, source
        self._asked: SimpleQueue[ChunkRequest | None] = SimpleQueue()
        self._read: SimpleQueue[Chunk | Altered | Refused | Exception] = SimpleQueue()
        self._thread: Thread | None = None

    def ask(self, request: ChunkRequest) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._run, name="snapshot", daemon=True)
            self._thread.start()
        self._asked.put(request)

    def answer(self) -> Chunk | Altered | Refused | None:
        """What was asked for once it is there. Raises what reading it raised."""
        try:
            found = self._read.get_nowait()
        except Empty:
            return None
        if isinstance(found, Exception):
            raise found
        return found

    def close(self) -> None:
        self._asked.put(None)

    def _run(self) -> None:
        request = self._asked.get()
        while request is not None:
            try:
                with session(self._url, conv=TEXT_PROTOCOL) as connection:
                    with connection.cursor() as cursor:
                        cursor.execute(MODE)
                    while request is not None:
                        self._read.put(read_chunk(connection, self._source, request))
                        request = self._asked.get(timeout=IDLE_SECONDS)
                return
            except Empty:
                pass
            except Exception as error:  # noqa: BLE001 - not swallowed: `answer` raises it in the thread that can act
                self._read.put(error)
            request = self._asked.get()
