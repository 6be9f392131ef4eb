"""Debian packages: unpacked aside without touching the host, or installed where there is no other way.

*Aside* means apt's own client with a state of its own below a folder: the host's package lists, its database and
its sources stay as they are. Signatures are checked by apt against Debian's archive keyring.
"""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from tailrace.stack.errors import StackError, Unavailable
from tailrace.stack.host import Host

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

# What maintainer scripts need, and no server does.
UNWANTED = ("libperl", "libgdbm", "libdb5", "libc-gconv", "libcrypt1")


def aside(host: Host, suite: str, packages: Sequence[str], folder: Path) -> None:
    """Unpack ``packages`` of a Debian ``suite``, with the libraries that they need, below ``folder``.

    Raises `Unavailable` where there is no apt, no Debian keyring, no network or no such package.
    """
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise Unavailable("this machine has no apt")
    if not KEYRING.exists():
        raise Unavailable("Debian's archive keyring is missing: install the package `debian-archive-keyring`")
    state = folder / ".apt"
    for part in ("lists/partial", "archives/partial", "etc"):
        (state / part).mkdir(parents=True)
    (state / "status").touch()
    try:
        environ = _configure(host, suite, state)
        what = f"fetching `{packages[0]}` from Debian {suite}"
        host.run(["apt-get", "-qq", "update"], what=what, env=environ)
        plan = host.run(["apt-get", "-s", "install", *packages], what=what, env=environ)
        host.run(["apt-get", "-qq", "download", *wanted(plan, packages)], what=what, env=environ,
                 cwd=state / "archives")  # fmt: skip
        for package in sorted((state / "archives").glob("*.deb")):
            host.run(["dpkg-deb", "-x", package, folder], what=f"unpacking `{package.name}`")
    except StackError as error:
        host.check_cancelled()
        raise Unavailable(str(error)) from error
    shutil.rmtree(state)


def wanted(plan: str, packages: Sequence[str]) -> list[str]:
    """``name=version`` of what a simulated installation lists and a server can need: itself and libraries."""
    found = re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+)", plan, re.MULTILINE)
    return [
        f"{name}={version}"
        for name, version in found
        if name in packages or (name.startswith(("lib", "zlib")) and not name.startswith(UNWANTED))
    ]


def _configure(host: Host, suite: str, state: Path) -> dict[str, str]:
    architecture = host.run(["dpkg", "--print-architecture"], what="asking dpkg for the architecture").strip()
    (state / "etc" / "tailrace.sources").write_text(
        f"Types: deb\nURIs: {_mirror(host)}\nSuites: {suite}\nComponents: main\n"
        f"Architectures: {architecture}\nTargets: Packages\nSigned-By: {KEYRING}\n"
    )
    # The host's own way to the network (proxy, certificates, tolerance of a frozen mirror), none of its hooks.
    dump = host.run(["apt-config", "dump"], what="reading apt's configuration")
    inherited = [line for line in dump.splitlines() if line.startswith("Acquire::")]
    lines = [
        f'Dir::State "{state}"; Dir::State::lists "{state}/lists"; Dir::State::status "{state}/status";',
        f'Dir::Cache "{state}"; Dir::Cache::archives "{state}/archives";',
        f'Dir::Etc::sourcelist "{state}/etc/tailrace.sources"; Dir::Etc::sourceparts "/dev/null";',
        'Dir::Etc::parts "/dev/null"; Dir::Etc::preferencesparts "/dev/null"; Dir::Etc::trustedparts "/dev/null";',
        'APT::Install-Recommends "false"; APT::Get::AllowUnauthenticated "false";',
        # apt as root would fetch as `_apt`, who may not enter the user's cache.
        'APT::Sandbox::User "root";',
        *inherited,
        'Acquire::Languages "none"; Acquire::AllowInsecureRepositories "false"; Acquire::Retries "3";',
    ]
    (state / "apt.conf").write_text("\n".join(lines) + "\n")
    return {"APT_CONFIG": str(state / "apt.conf")}


def _mirror(host: Host) -> str:
    """The Debian mirror that the host itself uses, so that no address is written down here."""
    listed = host.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CREATED_BY)"], what="asking apt")
    mirrors = [line.split()[0] for line in listed.splitlines() if line.endswith(" Packages")]
    plain = [mirror for mirror in mirrors if mirror.rstrip("/").endswith("/debian")]
    if not plain:
        raise Unavailable("apt on this machine knows no Debian mirror")
    return plain[0]


def suite_of_host() -> str:
    """The Debian suite that this machine runs; raises `Unavailable` on anything that is not Debian."""
    release = Path("/etc/os-release")
    text = release.read_text() if release.exists() else ""
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if fields.get("ID") != "debian" or "VERSION_CODENAME" not in fields:
        raise Unavailable("this machine does not run a Debian release")
    return fields["VERSION_CODENAME"].strip('"')


def program(folder: Path, path: str, *libraries: str) -> list[str]:
    """The words that start ``path``, unpacked aside below ``folder``, with its own libraries and its own loader.

    The host's C library may be older than the program's: hence the loader that came with it.
    """
    loaders = [*folder.glob("lib/*/ld-linux*.so.*"), *folder.glob("usr/lib/*/ld-linux*.so.*")]
    if not loaders:
        raise Unavailable(f"`{folder}` is not whole: delete it and try again")
    triplet = loaders[0].parent.name
    places = [folder / "lib" / triplet, folder / "usr/lib" / triplet, *(folder / place for place in libraries)]
    paths = ":".join(str(place) for place in places if place.is_dir())
    return [str(loaders[0]), "--library-path", paths, str(folder / path)]


def install(host: Host, package: str) -> None:
    """Install ``package`` on the host, as root; raises `Unavailable` where that cannot be done."""
    if not shutil.which("apt-get"):
        raise Unavailable(f"`{package}` is missing and this machine has no apt: install it")
    if os.geteuid() != 0:
        raise Unavailable(f"`{package}` is missing: run `apt-get install {package}` as root")
    host.report(f"installing {package} with apt…")
    environ = {
        "DEBIAN_FRONTEND": "noninteractive",
        # policy-rc.d cannot be relied upon; debhelper's scripts start no service when runlevel says so.
        "RUNLEVEL": "1",
    }
    words = ["apt-get", "-qq", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"]
    try:
        host.run([*words, "update"], what="apt-get update", env=environ)
        host.run([*words, "install", package], what=f"installing `{package}`", env=environ)
    except StackError as error:
        host.check_cancelled()
        raise Unavailable(str(error)) from error
