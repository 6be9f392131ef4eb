"""Repair: differences become requests to capture, which tells the rows anew by the ordinary way; then an audit again.

Nothing is written to a store from here. A row that lies where it should not comes out as a delete there, for the
request says where that is. A row under an impossible position would refuse what comes: the request names that very
position, and stores write over it. What was made of a row is told again by enrichment, from its cache.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from audit.compare import plain
from audit.deep import PATIENT, Audited, Terms, check
from audit.expected import place_of, placing_columns
from audit.report import Report, Verdict
from audit.side import Finding, Side, Where
from changes.canonical import Value
from changes.errors import Transient
from changes.key import Key
from changes.position import to_text
from changes.progress import Asked, KeyValue
from changes.record import StoredRow
from changes.target import Target
from changes.topology import Topology
from changes.topology.model import CHUNK
from streams.capture.requests import send
from streams.kafka import KafkaUrl
from streams.marks import Marks


@dataclass(frozen=True)
class Plan:
    """What is asked of capture, and the keys and places to be looked at afterwards, by table (``jobs.embedding`` for
    what an enricher makes).

    ``left_out`` counts the differences that are not asked for: they were too many.
    """

    rows: Mapping[str, list[Asked]]
    keys: Mapping[str, Mapping[Key, Mapping[Where, Sequence[str]]]]
    left_out: int

    @property
    def asked(self) -> int:
        return sum(map(len, self.rows.values()))


def planned(
    findings: Mapping[str, Sequence[tuple[Side, Finding]]], targets: Sequence[Target], *, different: int, cap: int
) -> Plan:
    """Requests for at most ``cap`` of all the ``different`` differences; pure.

    ``targets`` are the version's: a row told anew goes to all of them.
    """
    rows: dict[str, list[Asked]] = {}
    keys: dict[str, dict[Key, dict[Where, list[str]]]] = {}
    taken = 0
    for table, found in findings.items():
        placing = placing_columns([target for target in targets if target.table == table])
        for side, finding in found[: max(0, cap - taken)]:
            taken += 1
            misplaced = finding.found.class_ in {"extra", "resurrected"} and finding.lies is not None
            hint = hint_of(side.target, placing, finding.lies, finding.place) if misplaced and finding.lies else {}
            values, chunk = row_of(side.target, finding.key)
            asked = Asked(values, hint, over_of(finding), chunk)
            if asked not in rows.setdefault(table, []):
                rows[table].append(asked)
            where = (side.target.sink, side.target.name)
            keys.setdefault(table, {}).setdefault(finding.key, {}).setdefault(where, []).append(finding.place)
    return Plan(rows, keys, different - taken)


def row_of(target: Target, key: Key) -> tuple[list[KeyValue], int]:
    """The key of the row that decides what is stored under ``key``, and the chunk of it that this is, -1 for none."""
    values = [plain(value) for value in key.values]
    if target.of is None or target.key[-1] != CHUNK:
        return values, -1
    return values[:-1], int(values[-1] or 0)


def over_of(finding: Finding) -> str:
    """The position that stores are to write over, where they would refuse what comes."""
    refusing = finding.beyond or finding.found.class_ in {"impossible position", "wrong generation"}
    return to_text(finding.lies.position) if refusing and finding.lies is not None else ""


def hint_of(target: Target, placing: set[str], lies: StoredRow, place: str) -> dict[str, KeyValue]:
    """What places a stored row where it lies: its own columns, or for a row in another's file that file's owner.

    Where the owner is the key there is no such hint: it would name another row, and that would be deleted.
    """
    told = {name: plain(value) for name, value in lies.row.items() if name in placing and value is not None}
    if target.user is not None and target.user not in target.key and not _leads(target, {**lies.row, **told}, place):
        owner = {target.user: place}
        return {**told, **owner} if _leads(target, owner, place) else told
    return told


def _leads(target: Target, row: Mapping[str, Value], place: str) -> bool:
    """Whether such a row goes there."""
    try:
        return place_of(target, row) == place
    except KeyError:
        return False


def verdict_behind(before: Report, after: Report, left_out: int) -> Verdict:
    """The verdict once a repair is done: what was not decided before it is not by it, what was left out differs."""
    if left_out or after.verdict == "different":
        return "different"
    open_ = after.verdict == "undecided" or any(result.verdict == "undecided" for result in before.results)
    return "undecided" if open_ else "equal"


async def repair(
    topology: Topology,
    version: str,
    endpoints: Mapping[str, str],
    plan: Plan,
    *,
    sinks: Sequence[str] = (),
    terms: Terms = PATIENT,
    tell: Callable[[str], None] = lambda _: None,
) -> Report:
    """Send the requests, wait until capture has answered them, and audit those keys again.

    Raises `Transient` where capture does not answer within ``terms.timeout`` seconds.
    """
    kafka = KafkaUrl.parse(endpoints["kafka"])
    last = -1
    for name, rows in plan.rows.items():
        table, _, derived = name.partition(".")
        last = max(last, await asyncio.to_thread(send, kafka, version, table, rows, derived))
    tell(f"asked capture for {plan.asked} rows")
    marks = Marks(kafka, version)
    try:
        if await asyncio.to_thread(marks.behind_request, last, time.monotonic() + terms.timeout) is None:
            raise Transient("capture has not answered the requests in time; it will when it runs")
    finally:
        marks.close()
    audited: Audited = await check(topology, version, endpoints, sinks=sinks, keys=plan.keys, terms=terms, tell=tell)
    return audited.report
