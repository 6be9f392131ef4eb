"""The open files: which file is whose, and how few are open at once."""

import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from urllib.parse import quote, unquote

import xxhash

from changes.errors import Misconfigured, Rejected
from sinks.sql.sqlite.errors import classify, classify_os
from sinks.sql.table import Table

_PLAIN = frozenset("0123456789abcdefghijklmnopqrstuvwxyz-_")
_LONGEST_NAME = 200


def path_of(folder: Path, place: str) -> Path:
    """``<folder>/<2 hex digits>/<id>.db``: a million files in 256 folders.

    An id stands as it is where it is lower-case letters, digits, ``-`` and ``_``; other bytes become ``%XX``, so that
    no id can leave the folder and no two share a file, also where file names ignore case. Raises `Rejected` for an
    id that is too long for a file's name.
    """
    name = "".join(
        letter if letter in _PLAIN else "".join(f"%{byte:02x}" for byte in letter.encode("utf-8", "surrogatepass"))
        for letter in place
    )
    if len(name) > _LONGEST_NAME:
        raise Rejected(f"SQLite: an id of {len(place)} characters is too long for a file's name")
    return folder / f"{xxhash.xxh64_intdigest(place.encode('utf-8', 'surrogatepass')) & 0xFF:02x}" / f"{name}.db"


def place_in(path: Path) -> str:
    """The inverse of `path_of`."""
    return unquote(path.stem, errors="surrogatepass")


def walk(folder: Path) -> Iterator[Path]:
    """All files, in no order."""
    with os.scandir(folder) as shards:
        for shard in shards:
            if shard.is_dir():
                with os.scandir(shard) as files:
                    yield from (Path(file.path) for file in files if file.name.endswith(".db"))


class OpenFile:
    """One connection, used by one thread at a time: whoever holds ``lock``.

    ``shaped`` holds the tables that the file is known to be ready for; ``expired_at`` is when its old tombstones were
    last removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shaped: set[Table] = set()
        self.expired_at = float("-inf")
        self.lock = threading.Lock()
        self.users = 0
        self._connection: sqlite3.Connection | None = None

    @property
    def connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise RuntimeError("the file is not open")
        return self._connection

    def connect(self, busy: float) -> None:
        """Raises `Transient` or `Misconfigured`."""
        if self._connection is None:
            with translated(self.path):
                self._connection = _connect(self.path, busy, True)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        self.shaped.clear()
        self.expired_at = float("-inf")
        if connection is not None:
            connection.close()


class Files:
    """The files that are written to, at most ``limit`` of them open beyond those in use. Made for many threads."""

    def __init__(self, folder: Path, *, limit: int, busy: float) -> None:
        self._folder = folder
        self._limit = limit
        self._busy = busy
        self._mutex = threading.Lock()
        self._open: OrderedDict[str, OpenFile] = OrderedDict()

    def open_among(self, places: Iterable[str]) -> set[str]:
        """Those of these places whose files are open now."""
        with self._mutex:
            return {place for place in places if place in self._open}

    @contextmanager
    def use(self, place: str) -> Iterator[OpenFile]:
        """The open file of a place, made where there is none.

        A file whose user fails with anything but `Rejected` is closed, and whatever was not committed with it.
        """
        file, idle = self._claim(place)
        try:
            for other in idle:
                with other.lock:
                    other.close()
            with file.lock:
                file.connect(self._busy)
                usable = False
                try:
                    yield file
                    usable = True
                except Rejected:
                    usable = True
                    raise
                finally:
                    if not usable:
                        file.close()
        finally:
            with self._mutex:
                file.users -= 1

    def _claim(self, place: str) -> tuple[OpenFile, list[OpenFile]]:
        """The file of a place, and those to be closed to make room for it: the ones that lay idle longest."""
        path, idle = path_of(self._folder, place), []
        with self._mutex:
            file = self._open.get(place)
            if file is None:
                spare = len(self._open) + 1 - self._limit
                unused = (name for name, other in self._open.items() if other.users == 0)
                idle = [self._open.pop(name) for name in list(islice(unused, max(0, spare)))]
                file = self._open[place] = OpenFile(path)
            self._open.move_to_end(place)
            file.users += 1
        return file, idle

    def close(self) -> None:
        with self._mutex:
            files = list(self._open.values())
            self._open.clear()
        for file in files:
            with file.lock:
                file.close()


@contextmanager
def reading(path: Path, busy: float) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write, and waits ``busy`` seconds for a lock.

    Raises `Transient` or `Misconfigured`, also for what SQLite raises within.
    """
    with translated(path), closing(_connect(path, busy, False)) as connection:
        yield connection


@contextmanager
def reading_still(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that takes no locks and looks at no log: of use where the file is known not to change meanwhile.
    Raises `sqlite3.Error`; what is read of a file that does change may be anything. Like any of SQLite's own
    connections it leaves this process's other ones their locks when it is closed."""
    with closing(sqlite3.connect(f"{_uri(path)}?immutable=1", uri=True, isolation_level=None)) as connection:
        yield connection


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raises `Transient`, `Rejected` or `Misconfigured` for what SQLite and the disk raise."""
    try:
        yield
    except sqlite3.Error as error:
        raise classify(str(path), getattr(error, "sqlite_errorcode", None), str(error)) from error
    except OSError as error:
        raise classify_os(str(path), error) from error


def _connect(path: Path, busy: float, create: bool) -> sqlite3.Connection:
    if create:
        make_folder(path.parent)
        _create(path)
    connection = sqlite3.connect(
        f"{_uri(path)}?mode=rw",
        uri=True,
        timeout=busy,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        # A commit is flushed to disk before it is answered: its offset is committed right after.
        for pragma in ("journal_mode = WAL", "synchronous = FULL") if create else ("query_only = ON",):
            connection.execute(f"PRAGMA {pragma}").close()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _uri(path: Path) -> str:
    return f"file:{quote(str(path.absolute()))}"


def _create(path: Path) -> None:
    """Make the file where there is none: SQLite would make it readable for all; its log and index take over this mode.

    One that is there is not opened. To close any descriptor of a file drops all locks that a process has on it
    (fcntl(2)), those of its SQLite connections among them: another process would then take itself for the last one,
    and remove the log into which they go on writing.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return


def make_folder(folder: Path) -> None:
    """Make a folder that nobody else may read, and make its name durable. Raises `OSError`."""
    if folder.is_dir():
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    parent = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


def check_version() -> None:
    """Raises `Misconfigured` where the SQLite library has no STRICT tables."""
    if sqlite3.sqlite_version_info < (3, 37):
        raise Misconfigured(f"SQLite {sqlite3.sqlite_version} is too old: 3.37 or newer is needed")
