"""The time from commit to visible, measured at the stores themselves with a probe row."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import asyncpg
from redis.asyncio import Redis

from changes.errors import Transient
from streams.mysql import Connection, MysqlUrl, connect
from tailrace.example.traffic import Traffic

PROBES_A_SECOND = 20
_PROBE = "tailrace.latency"
_LOST_SECONDS = 10.0
_LOOK_SECONDS = 0.001


def measure(endpoints: Mapping[str, str], *, rate: float, seconds: float) -> dict[str, Any]:
    """Quantiles in milliseconds for each store. ``rate`` is the other traffic's, in changes a second.

    Raises `Transient` where a probe is not visible within ten seconds: no pipeline runs, or it stands.
    """
    traffic = Traffic(endpoints["mysql"], rate=rate, seed=20250913) if rate > 0 else None
    if traffic is not None:
        traffic.start()
    try:
        times = asyncio.run(_probe(endpoints, seconds))
    finally:
        if traffic is not None:
            traffic.stop()
    return {
        "probes": len(times["redis"]),
        "rate": traffic.stats().rate if traffic is not None else 0.0,
        **{store: _quantiles(sorted(found)) for store, found in times.items()},
    }


def _quantiles(ordered: list[float]) -> dict[str, float]:
    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2)

    return {"p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99), "max_ms": round(ordered[-1], 2)}


async def _probe(endpoints: Mapping[str, str], seconds: float) -> dict[str, list[float]]:
    mysql = await asyncio.to_thread(connect, MysqlUrl.parse(endpoints["mysql"]))
    postgres = await asyncpg.connect(endpoints["postgres"])
    redis: Redis = Redis.from_url(endpoints["redis"])
    times: dict[str, list[float]] = {"redis": [], "postgres": []}
    try:
        number = await asyncio.to_thread(_row, mysql)

        async def in_redis() -> str | None:
            text = await redis.get(f"config:{number}")
            return None if text is None else json.loads(text)["config_value"]

        async def in_postgres() -> str | None:
            value: str | None = await postgres.fetchval("SELECT config_value FROM system_configs WHERE id = $1", number)
            return value

        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = str(time.time_ns())
            committed = await asyncio.to_thread(_commit, mysql, number, value)
            seen = await asyncio.gather(_until(in_redis, value), _until(in_postgres, value))
            for store, at in zip(("redis", "postgres"), seen, strict=True):
                times[store].append((at - committed) * 1000)
            await asyncio.sleep(max(0.0, 1 / PROBES_A_SECOND - (time.monotonic() - committed)))
    finally:
        await redis.aclose()
        await postgres.close()
        mysql.close()
    return times


def _row(mysql: Connection) -> int:
    """The probe row's id; the row is made where it is not there."""
    with mysql.cursor() as cursor:
        cursor.execute(
            "INSERT INTO system_configs (config_key, config_value) VALUES (%s, '') ON DUPLICATE KEY UPDATE id = id",
            (_PROBE,),
        )
        cursor.execute("SELECT id FROM system_configs WHERE config_key = %s", (_PROBE,))
        row = cursor.fetchone()
    if row is None:
        raise Transient("the probe row vanished")
    return int(row[0])


def _commit(mysql: Connection, number: int, value: str) -> float:
    """Update the probe row; the moment at which MySQL had said that it is committed."""
    with mysql.cursor() as cursor:
        cursor.execute("UPDATE system_configs SET config_value = %s WHERE id = %s", (value, number))
    return time.monotonic()


async def _until(look: Callable[[], Awaitable[str | None]], value: str) -> float:
    deadline = time.monotonic() + _LOST_SECONDS
    while True:
        found = await look()
        now = time.monotonic()
        if found == value:
            return now
        if now > deadline:
            raise Transient(f"the probe was not visible within {_LOST_SECONDS:.0f} s: does the pipeline run?")
        await asyncio.sleep(_LOOK_SECONDS)
