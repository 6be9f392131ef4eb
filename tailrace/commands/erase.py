"""``tailrace erase``: a person is taken out of MySQL and of everything that follows it, and a receipt is written."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table

from audit.erasure import source
from audit.erasure.run import Erasing
from audit.erasure.source import Owned
from audit.receipt import Receipt, Refused, Verdict, opened, overall
from tailrace.commands.common import (
    INCONSISTENT,
    OK,
    UNDECIDED,
    Duration,
    json_option,
    one_version,
    print_json,
    say,
    topics_option,
    version_option,
)
from tailrace.declared import read_topology
from tailrace.erasures import erasing, path_of, save

EXIT: Mapping[Verdict, int] = {"clean": OK, "due": OK, "traces": INCONSISTENT, "undecided": UNDECIDED}


@click.command()
@click.argument("users", nargs=-1, required=True, metavar="USER...")
@topics_option
@version_option
@click.option("--dry-run", is_flag=True, help="Only show what would become of which rows.")
@click.option(
    "--receipt",
    "to",
    type=click.Path(path_type=Path),
    help="Where to write the receipt; of several persons, a folder.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--derived/--no-derived", default=True, help="Wait for what is made of rows, as where enrichment runs.")
@click.option("--timeout", type=Duration(), default="5m", show_default=True, help="How long to wait for stores.")
@json_option
def erase(
    users: tuple[str, ...],
    topics: Path,
    version: str | None,
    dry_run: bool,
    to: Path | None,
    yes: bool,
    derived: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Delete a person's rows in MySQL as declared, follow that through every store, and look for what is left.

    A USER is what the declared `user` columns hold. The receipt is signed and holds no personal data; `tailrace receipt
    verify` looks again, and at the topics once they are compacted. Killed in between, the same command goes on.
    """
    topology = read_topology(topics)
    chosen = one_version(topology, version)
    job = erasing(topology, chosen, timeout=timeout, derived=derived, tell=say)
    steps = job.steps()
    try:
        people = {user: job.what(user, steps) for user in dict.fromkeys(users)}
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    counts = {user: source.counted(job.mysql, what) for user, what in people.items()}
    if dry_run:
        _plan(people, counts, as_json)
        return
    for user, what in people.items():
        _say_what_was(job, user, what, counts[user])
    rows = sum(number for found in counts.values() for number in found.values())
    if not yes:
        click.confirm(f"Erase {len(people)} of `{chosen}` ({rows} rows of MySQL) for good?", abort=True, err=True)
    receipts = asyncio.run(job.erase([*people]))
    told = []
    for user, receipt in zip(people, receipts, strict=True):
        paths = [path_of(chosen, receipt.who)]
        if to is not None:
            paths.append(to if len(people) == 1 else to / f"{receipt.who}.json")
        for path in paths:
            save(receipt, path)
        told.append((user, receipt, paths[-1]))
    if as_json:
        print_json([_shown(user, receipt, path) for user, receipt, path in told])
    else:
        for user, receipt, path in told:
            show(receipt, f"{user}: {receipt.verdict}, {path}")
    raise SystemExit(EXIT[overall_of(receipts)])


def overall_of(receipts: Sequence[Receipt]) -> Verdict:
    """The worst verdict of some receipts."""
    return overall([msgspec.structs.replace(one.places[0], verdict=one.verdict) for one in receipts])


def _say_what_was(job: Erasing, user: str, what: Sequence[Owned], rows: Mapping[str, int]) -> None:
    """Whether the person was erased before, and whether rows of theirs were written since."""
    try:
        before = opened(path_of(job.version, job.who(what)).read_bytes())
    except (OSError, Refused):
        return
    back = {one.step.table: rows[one.step.table] for one in what if one.step.rows != "keep" and rows[one.step.table]}
    if back:
        told = ", ".join(f"{number} of {table}" for table, number in back.items())
        say(f"{user} was erased at {before.ended}, and rows were written again since: {told}")
    else:
        say(f"{user} was erased at {before.ended} already; everything is looked through once more")


def _plan(people: Mapping[str, Sequence[Owned]], counts: Mapping[str, Mapping[str, int]], as_json: bool) -> None:
    """What would become of which rows, in order."""
    plan = [
        {
            "user": user,
            "table": one.step.table,
            "by": one.step.by,
            "done": {"delete": "deleted", "clear": "cleared", "keep": "kept"}[one.step.rows],
            "rows": counts[user][one.step.table],
            **({"set": one.step.set} if one.step.set else {}),
        }
        for user, what in people.items()
        for one in what
    ]
    if as_json:
        print_json(plan)
        return
    table = Table("user", "table", "by", "rows", "would be")
    for line in plan:
        table.add_row(*(str(line[name]) for name in ("user", "table", "by", "rows", "done")))
    Console().print(table)


def _shown(user: str, receipt: Receipt, path: Path) -> dict[str, object]:
    """A receipt as JSON, without what only a second look needs."""
    told: dict[str, object] = msgspec.to_builtins(receipt)
    told["sought"] = {
        "values": len(receipt.sought.needles),
        "rows": sum(map(len, receipt.sought.keys.values())),
        "shared": receipt.sought.shared,
        "left_out": receipt.sought.left_out,
    }
    return {"user": user, "receipt": str(path), **told}


def show(receipt: Receipt, title: str) -> None:
    """A receipt for people."""
    console = Console(highlight=False)
    table = Table("place", "looked for", "looked at", "verdict", "found", title=title)
    for place in receipt.places:
        note = f": {place.note}" if place.note else ""
        table.add_row(place.place, place.looked_for, str(place.items), place.verdict + note, str(place.found or ""))
    console.print(table)
    for done in receipt.tables:
        console.print(f"{done.table}: {done.rows} rows {done.done}")
    for one in receipt.followed:
        console.print(f"taken out: {one.number} {one.what}")
    for name, rows in receipt.came_back.items():
        console.print(f"came back: {rows} rows of {name}")
    for place in receipt.places:
        for trace in place.traces if place.verdict == "traces" else ():
            console.print(f"{place.place} {trace.where}: {trace.what}")
    for heading, parts in (("left", receipt.remains), ("outside", receipt.outside)):
        for part in parts:
            console.print(f"{heading}: {part.what}" + (f", until {part.until}" if part.until else ""))
    if receipt.verdict == "due":
        console.print(f"the topics are to be looked at again: {receipt.due or 'nobody knows when'}")
