"""``tailrace receipt verify``: is a receipt as it was signed, and is what it says still so?"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from audit.erasure.second import is_ours, look_again
from audit.receipt import Receipt, Refused, opened, public_of
from tailrace.commands.common import (
    INCONSISTENT,
    OK,
    UNDECIDED,
    Duration,
    json_option,
    print_json,
    say,
    topics_option,
)
from tailrace.commands.erase import EXIT, show
from tailrace.declared import read_topology
from tailrace.erasures import erasing, save


@click.group()
def receipt() -> None:
    """Receipts of erasures."""


@receipt.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@topics_option
@click.option("--offline", is_flag=True, help="Only whether it is as it was signed; looks at no server.")
@click.option("--user", help="Also whether it is this person's; needs the version's key.")
@click.option("--receipt", "to", type=click.Path(path_type=Path, dir_okay=False), help="Sign what was found, here.")
@click.option(
    "--nudge",
    is_flag=True,
    help="Have capture tell rows again that topics hold superseded records of: Kafka compacts only what it writes to.",
)
@click.option("--timeout", type=Duration(), default="60s", show_default=True, help="How long to wait for capture.")
@json_option
def verify(
    file: Path,
    topics: Path,
    offline: bool,
    user: str | None,
    to: Path | None,
    nudge: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Check the signature, and look again for everything that the receipt says was looked for.

    Behind the date that the receipt names, topics must be clean too. Exit code 0: nothing is left, or nothing that does
    not go by itself before that date; 3: the receipt was changed, or there are traces; 4: undecided.
    """
    try:
        found = opened(file.read_bytes())
    except Refused as refusal:
        _tell(as_json, {"signature": "wrong", "reason": str(refusal)}, f"{file}: {refusal}")
        raise SystemExit(INCONSISTENT) from refusal
    if offline and user is None:
        told = {"signature": "right", "public_key": found.public_key, "stage": found.stage, "verdict": found.verdict}
        _tell(as_json, told, f"{file}: as it was signed with the key {found.public_key}: {found.verdict}")
        return
    job = erasing(read_topology(topics), found.version, timeout=timeout, derived=True, tell=say)
    if not is_ours(found, job):
        own = public_of(job.secret.signing)
        reason = f"it was signed with another key than ours ({own}), without which nothing can be looked for"
        _tell(as_json, {"signature": "foreign", "reason": reason}, f"{file}: {reason}")
        raise SystemExit(UNDECIDED)
    if user is not None and job.who(job.what(user, job.steps())) != found.who:
        _tell(as_json, {"signature": "right", "reason": "another's"}, f"{file}: it is another's than {user}'s")
        raise SystemExit(INCONSISTENT)
    if offline:
        _tell(as_json, {"signature": "right", "verdict": found.verdict}, f"{file}: it is {user}'s, as it was signed")
        return
    again = asyncio.run(look_again(job, [found]))
    (second,) = again.receipts
    if nudge and any(again.keys.values()):
        say("having rows told again")
        job.ask_again(again.keys)
    if to is not None:
        save(second, to)
    late = _late(found) and second.verdict == "due"
    if as_json:
        told = {name: value for name, value in msgspec.to_builtins(second).items() if name != "sought"}
        print_json({"signature": "right", "late": late, **told})
    else:
        show(second, f"{file}: {second.verdict}")
        if late:
            say("the topics should be clean by now and are not: `--nudge` has what Kafka waits for written")
    raise SystemExit(UNDECIDED if late else EXIT[second.verdict] if second.verdict != "clean" else OK)


def _late(found: Receipt) -> bool:
    return found.due != "" and datetime.now(UTC) >= datetime.fromisoformat(found.due)


def _tell(as_json: bool, told: Mapping[str, object], words: str) -> None:
    if as_json:
        print_json(told)
    else:
        click.echo(words)
