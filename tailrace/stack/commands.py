"""``tailrace stack``: real local servers, without Docker. Data go to stdout, progress to stderr."""

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from tailrace.stack.endpoints import check_versions, variable
from tailrace.stack.errors import StackError
from tailrace.stack.files import private_folder
from tailrace.stack.places import stack_folder
from tailrace.stack.stack import Stack
from tailrace.stack.supervise import supervise
from tailrace.stack.view import View

READY = "\x04"  # on a line of its own: the stack that a detached supervisor starts is up

Command = Callable[..., None]


def report(line: str) -> None:
    """Progress, for people."""
    if sys.stderr.isatty() and "NO_COLOR" not in os.environ:
        line = click.style("stack ", dim=True) + line
    click.echo(line, err=True)


def fail(error: StackError) -> NoReturn:
    """End with the one sentence that says what to do."""
    click.echo(f"error: {error}", err=True)
    raise SystemExit(1) from error


def named(function: Command) -> Command:
    """The option that all commands share."""
    return click.option("--name", default="default", show_default=True, help="Which stack; or a folder's path.")(
        function
    )


def checked(_context: click.Context, _option: click.Parameter, versions: tuple[str, ...]) -> tuple[str, ...]:
    """The versions, if they can be names of versions."""
    try:
        return check_versions(versions)
    except StackError as error:
        raise click.BadParameter(str(error)) from error


def running(name: str) -> View:
    """The stack that runs under this name, or the end of the program."""
    try:
        view = Stack.running(stack_folder(name, os.environ))
    except StackError as error:
        fail(error)
    if view is None:
        fail(StackError(f"no stack `{name}` is running: start it with `tailrace stack up`"))
    return view


@click.group()
def stack() -> None:
    """Real local servers: MySQL, Kafka, PostgreSQL with pgvector, Redis; with `--profile full` the other seven too."""


@stack.command()
@named
@click.option("--version", "versions", multiple=True, metavar="V", default=("future",), show_default=True,
              callback=checked)  # fmt: skip
@click.option("--profile", type=click.Choice(["core", "full"]), default="core", show_default=True)
@click.option("--detach", is_flag=True, help="Return once all servers answer; a background process watches them.")
@click.option("--notify", type=int, hidden=True, help="The descriptor on which a detached supervisor says it is up.")
def up(name: str, versions: tuple[str, ...], profile: str, detach: bool, notify: int | None) -> None:
    """Start the servers and watch over them: what dies is named and started again."""
    folder = stack_folder(name, os.environ)
    if detach:
        detached(name, folder, versions, profile)
        return
    ended = threading.Event()
    say = report if notify is None else _both(notify)

    def end(_signal: int, _frame: FrameType | None) -> None:
        if ended.is_set() or not up_already.is_set():
            raise KeyboardInterrupt  # while starting, or impatient: whatever is being done is given up
        ended.set()

    up_already = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    try:
        servers = Stack(folder, versions=versions, profile=profile, report=say)
        try:
            servers.up()
            up_already.set()
            say(READY if notify is not None else "everything is up; Ctrl-C stops it")
            if notify is not None:
                os.close(notify)
            supervise(servers, report, ended)
        finally:
            servers.down()
    except StackError as error:
        if notify is not None and not up_already.is_set():
            say(f"error: {error}")
        fail(error)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


@stack.command()
@named
@click.option("--profile", type=click.Choice(["core", "full"]), default="core", show_default=True)
def fetch(name: str, profile: str) -> None:
    """Download and build what a stack needs, and start nothing. Exit code 1 where something cannot be had here."""
    try:
        lacking = Stack(stack_folder(name, os.environ), profile=profile, report=report).fetch()
    except StackError as error:
        fail(error)
    for line in lacking:
        report(f"cannot be had here: {line}")
    raise SystemExit(1 if lacking else 0)


def _both(notify: int) -> Callable[[str], None]:
    """Say it to whoever waits on ``notify``."""

    def say(line: str) -> None:
        try:
            os.write(notify, (line + "\n").encode())
        except OSError:
            report(line)  # it waits no longer

    return say


def detached(name: str, folder: Path, versions: tuple[str, ...], profile: str) -> None:
    """Start a supervisor in the background, relay its progress, and return once its servers answer."""
    ours, theirs = os.pipe()
    words = [sys.executable, "-m", "tailrace.stack", "up", "--name", name, "--notify", str(theirs)]
    words += ["--profile", profile, *(word for version in versions for word in ("--version", version))]
    try:
        private_folder(folder)
        log = os.open(folder / "supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        fail(StackError(f"cannot use `{folder}` ({error.strerror}): set TAILRACE_HOME"))
    with os.fdopen(ours, encoding="utf-8") as lines:
        supervisor = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[theirs], start_new_session=True
        )
        os.close(theirs)
        os.close(log)
        for line in lines:
            if line.rstrip("\n") == READY:
                report(f"everything is up, watched by process {supervisor.pid}; `tailrace stack down` stops it")
                return
            click.echo(line, nl=False, err=True)
    raise SystemExit(supervisor.wait() or 1)


@stack.command()
@named
def down(name: str) -> None:
    """Stop the servers; their data stay."""
    try:
        running(name).down()
    except StackError as error:
        fail(error)


@stack.command()
@named
@click.option("--json", "as_json", is_flag=True)
def status(name: str, as_json: bool) -> None:
    """What runs, where. Exit code 1 if a server is down."""
    view = running(name)
    servers = view.status()
    if as_json:
        click.echo(json.dumps({"supervisor": view.supervisor(), "servers": servers}))
    else:
        for server, about in servers.items():
            click.echo(f"{server:24} {about['state']:6} port {about['port']}  pid {about['pid'] or '-'}")
        click.echo(f"{'supervisor':24} {'up' if view.supervisor() else 'down'}")
    if any(about["state"] != "up" for about in servers.values()):
        raise SystemExit(1)


@stack.command()
@named
@click.option("--json", "as_json", is_flag=True)
def env(name: str, as_json: bool) -> None:
    """The endpoints, passwords included: as shell lines to `eval`, or as JSON."""
    endpoints = running(name).endpoints()
    if as_json:
        click.echo(json.dumps(endpoints))
        return
    for version, urls in endpoints.items():
        for kind, url in urls.items():
            click.echo(f"export {variable(version, kind)}={shlex.quote(url)}")
