"""SQLite: a file for each user, several at once, a transaction for each file's part of a batch."""

import asyncio
import sqlite3
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from changes.record import Record
from changes.schema import Column


async def raw_upsert(url: str, place: str, batches: Sequence[Sequence[Record]]) -> None:
    await asyncio.to_thread(_write, Path(url) / place, batches)


def _write(folder: Path, batches: Sequence[Sequence[Record]]) -> None:
    folder.mkdir(parents=True)
    columns = batches[0][0].schema.columns
    files: dict[str, sqlite3.Connection] = {}
    with ThreadPoolExecutor(16) as threads:
        for batch in batches:
            parts: dict[str, list[Record]] = {}
            for record in batch:
                parts.setdefault(record.place, []).append(record)
            new = [name for name in parts if name not in files]
            files |= zip(new, threads.map(partial(_opened, folder, columns), new), strict=True)
            written = [threads.submit(_upsert, files[name], columns, records) for name, records in parts.items()]
            for one in written:
                one.result()
    for file in files.values():
        file.close()


def _opened(folder: Path, columns: Iterable[Column], name: str) -> sqlite3.Connection:
    file = sqlite3.connect(folder / f"{name}.db", check_same_thread=False)
    file.execute("PRAGMA journal_mode = WAL")
    file.execute(f"CREATE TABLE rows ({', '.join(column.name for column in columns)}, PRIMARY KEY (id))")
    return file


def _upsert(file: sqlite3.Connection, columns: Iterable[Column], records: Iterable[Record]) -> None:
    names = [column.name for column in columns]
    text = (
        f"INSERT INTO rows VALUES ({', '.join('?' * len(names))})"
        f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in names[1:])}"
    )
    with file:
        file.executemany(text, [tuple((record.row or {}).values()) for record in records])
