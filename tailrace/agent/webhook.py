"""Alerts: an incident that opened or closed, posted to the address that ``<PREFIX>ALERT_WEBHOOK`` names.

The body is JSON: ``event`` (``opened`` or ``closed``), ``version``, ``at_ms``, the ``incident`` as the agent's socket
tells it, and ``text``, a line for people, which chat services show. An answer of 2xx is a receipt. What is not received
is sent again `ATTEMPTS` times in all, ever further apart, then left with an error in the log, and offered once more
when the agent starts again. Audits never wait for it. The address is a secret: it is not told anywhere.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Literal

import httpx
import msgspec

from audit.incidents import UNACCOUNTED
from tailrace.agent.api import Incident

log = logging.getLogger(__name__)
logging.getLogger("httpx").setLevel(logging.WARNING)  # it would write every address that is posted to into the log

VARIABLE = "ALERT_WEBHOOK"
"""Behind the version's prefix."""
ATTEMPTS = 5
FIRST_WAIT = 1.0
"""Seconds before the second attempt; each later wait is three times as long as the one before."""
TIMEOUT = 10.0
MOST = 1000
"""Alerts that wait at once; what comes beyond them is left out with an error."""

Event = Literal["opened", "closed"]


class Alert(msgspec.Struct, frozen=True):
    event: Event
    version: str
    at_ms: int
    incident: Incident
    text: str


def alert_of(event: Event, version: str, at_ms: int, incident: Incident) -> Alert:
    where = f"{incident.table} in {incident.sink}"
    if incident.class_ == UNACCOUNTED:
        records = "1 record" if incident.rows == 1 else f"{incident.rows} records"
        is_ = "is" if incident.rows == 1 else "are"
        told = f"the accounts of {where} add up again", f"{records} of {where} {is_} not accounted for"
        text = f"{version}: {told[event == 'opened']}"
    elif event == "closed":
        text = f"{version}: {where} is equal again ({incident.class_})"
    else:
        rows = "1 row" if incident.rows == 1 else f"{incident.rows} rows"
        text = f"{version}: {rows} {incident.class_} of {where}"
    return Alert(event, version, at_ms, incident, text)


class Webhook:
    """``sent`` is awaited with every alert that was sent, and whether it was received. With no ``url`` none is."""

    def __init__(
        self, url: str, sent: Callable[[Alert, bool], Awaitable[None]], *, first_wait: float = FIRST_WAIT
    ) -> None:
        self._url, self._sent, self._first_wait = url, sent, first_wait
        self._waiting: asyncio.Queue[Alert] = asyncio.Queue(MOST)

    def send(self, alert: Alert) -> None:
        """On the loop's thread; returns at once."""
        if not self._url:
            return
        try:
            self._waiting.put_nowait(alert)
        except asyncio.QueueFull:
            log.error("an alert is lost, %d wait already: %s", MOST, alert.text)

    async def run(self) -> None:
        """Send what comes, one after the other, until it is cancelled."""
        async with httpx.AsyncClient(timeout=TIMEOUT) as client:
            while True:
                alert = await self._waiting.get()
                await self._sent(alert, await self._delivered(client, alert))

    async def _delivered(self, client: httpx.AsyncClient, alert: Alert) -> bool:
        wait, reason = self._first_wait, ""
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(wait)
                wait *= 3
            try:
                headers = {"content-type": "application/json"}
                answer = await client.post(self._url, content=msgspec.json.encode(alert), headers=headers)
            except httpx.InvalidURL:
                reason = "its address is none"
                break
            except httpx.HTTPError as error:
                reason = type(error).__name__  # its text may hold the address
                continue
            if answer.is_success:
                return True
            reason = f"it answers {answer.status_code}"
        log.error("the webhook did not take an alert (%s): %s", reason, alert.text)
        return False
