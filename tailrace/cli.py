"""The command line: ``tailrace COMMAND``."""

import sys

import click

from changes.errors import Misconfigured, TailraceError
from tailrace.commands.bench import bench
from tailrace.commands.check import check
from tailrace.commands.common import BAD_CONFIGURATION, FAILURE
from tailrace.commands.conservation import conservation
from tailrace.commands.console import console
from tailrace.commands.demo import demo
from tailrace.commands.dlq import dlq
from tailrace.commands.epoch import epoch
from tailrace.commands.erase import erase
from tailrace.commands.isolate import isolate
from tailrace.commands.plan import apply, plan
from tailrace.commands.quality import quality
from tailrace.commands.receipt import receipt
from tailrace.commands.reenrich import reenrich
from tailrace.commands.replay import replay
from tailrace.commands.run import run
from tailrace.commands.search import search
from tailrace.commands.snapshot import snapshot
from tailrace.commands.status import status
from tailrace.commands.tap import tap
from tailrace.commands.trace import trace
from tailrace.commands.validate import validate
from tailrace.commands.wait import wait
from tailrace.garbage import collect_seldom
from tailrace.stack.commands import stack
from tailrace.stack.errors import StackError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tailrace")
def cli() -> None:
    """Tails a MySQL binlog into Kafka, keeps stores in step with it, and proves that they are.

    Exit codes: 0 ok, 1 failure, 2 usage, 3 inconsistency found, 4 undecided, 78 bad configuration.
    """


for command in (
    demo,
    stack,
    validate,
    plan,
    apply,
    run,
    wait,
    status,
    console,
    tap,
    trace,
    check,
    snapshot,
    replay,
    reenrich,
    dlq,
    conservation,
    quality,
    isolate,
    search,
    erase,
    receipt,
    epoch,
    bench,
):
    cli.add_command(command)


def main() -> None:
    collect_seldom()
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except Misconfigured as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(BAD_CONFIGURATION)
    except (TailraceError, StackError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(FAILURE)


if __name__ == "__main__":
    main()
