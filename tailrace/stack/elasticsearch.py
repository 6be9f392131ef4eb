"""Elasticsearch from Maven's jars: the stock server node, with what its distribution adds written anew (`files/`)."""

import shutil
import zipfile
from pathlib import Path

import httpx

from tailrace.stack import maven
from tailrace.stack.errors import NotReady, Unavailable
from tailrace.stack.fetch import fetched
from tailrace.stack.files import private_folder
from tailrace.stack.host import Host
from tailrace.stack.process import Command
from tailrace.stack.server import Server
from tailrace.stack.settings import Settings

FOLDER = "elasticsearch-9.5.3"
FILES = maven.FILES / "elasticsearch"
ZSTD = "libzstd.so.1"


class Elasticsearch(Server):
    """One node with ik's analyzers. Security is no part of what Maven has: it asks nobody for a password."""

    kind = "elasticsearch"

    def __init__(self, host: Host, settings: Settings, folder: Path, version: str) -> None:
        super().__init__(host, settings, folder, version)
        self._transport = f"{self.name}-transport"

    def choose_ports(self) -> None:
        """See `Server.choose_ports`."""
        super().choose_ports()
        self.settings.free_port(self._transport)

    def fetch(self) -> None:
        """See `Server.fetch`."""
        maven.java()
        fetched(self.host, FOLDER, self._build, what="Elasticsearch 9.5 (54 MB)", megabytes=250)

    def _build(self, folder: Path) -> None:
        """``lib`` and ``classes`` are the server; ``home`` is what it takes modules and plugins from."""
        lib, plugin = folder / "lib", folder / "home" / "plugins" / "tailrace-analyzers"
        maven.jars(self.host, "elasticsearch", lib)
        maven.classes(self.host, [FILES / "ElasticsearchServer.java"], lib, folder / "classes")
        plugin.mkdir(parents=True)
        made = folder / "plugin"
        maven.classes(self.host, [FILES / "Analyzers.java", FILES / "RootHandler.java"], lib, made)
        with zipfile.ZipFile(plugin / "analyzers.jar", "w") as jar:
            for one in made.rglob("*.class"):
                jar.write(one, one.relative_to(made))
        shutil.rmtree(made)
        shutil.copy(FILES / "plugin-descriptor.properties", plugin)
        for one in lib.glob("ik-analyzer-*.jar"):
            one.rename(plugin / one.name)
        self._module(lib, folder / "home" / "modules" / "transport-netty4")
        (folder / "native").mkdir()
        (folder / "native" / "libzstd.so").symlink_to(_zstd())

    def _module(self, lib: Path, module: Path) -> None:
        """HTTP, which the server loads as a module of its own: its jars must not be on the class path too."""
        module.mkdir(parents=True)
        (own,) = lib.glob("transport-netty4-*.jar")
        with zipfile.ZipFile(own) as jar:
            text = jar.read("META-INF/es-plugins/transport-netty4/plugin-descriptor.properties").decode()
        # Without a module's name it is loaded from its jars alone, as the server itself is.
        kept = [line for line in text.splitlines() if line and not line.startswith(("#", "modulename="))]
        (module / "plugin-descriptor.properties").write_text("\n".join(kept) + "\n")
        for jar_path in (own, *lib.glob("netty-*.jar")):
            jar_path.rename(module / jar_path.name)

    def fill(self, data: Path) -> None:
        """An empty folder is a new server's data."""

    def command(self) -> Command:
        """See `Server.command`."""
        folder, config = self.host.cache / FOLDER, private_folder(self.folder / "config")
        options = [
            f"-Des.nativelibs.path={folder / 'native'}",
            "-Dorg.elasticsearch.nativeaccess.enableVectorLibrary=false",
            "-Dlog4j2.disable.jmx=true",
            "-Dio.netty.noUnsafe=true",
            "-Djava.security.manager=disallow",
            "--add-opens=java.base/java.io=ALL-UNNAMED",
        ]
        words = [str(maven.java()), *maven.flags(heap="512m"), *options]
        words += ["-cp", f"{folder / 'classes'}:{folder / 'lib'}/*", "ElasticsearchServer", str(folder / "home")]
        ports = [str(self.port), str(self.settings.port(self._transport))]
        return Command([*words, str(self.data), str(config), *ports], cwd=self.folder)

    def ping(self) -> None:
        """See `Server.ping`; an index is usable once the cluster is yellow."""
        try:
            answer = httpx.get(f"{self.admin()}/_cluster/health", timeout=5)
        except httpx.HTTPError as error:
            raise NotReady(str(error)) from error
        if answer.status_code != httpx.codes.OK or answer.json()["status"] == "red":
            raise NotReady(f"it answers {answer.status_code} {answer.text[:200]}")

    def endpoint(self, version: str) -> str:
        """See `Server.endpoint`."""
        return f"http://127.0.0.1:{self.port}"

    def admin(self) -> str:
        """See `Server.admin`."""
        return self.endpoint(self.version)


def _zstd() -> Path:
    """The host's libzstd, without which the server does not start; raises `Unavailable`."""
    for folder in (Path("/usr/lib"), Path("/lib"), Path("/usr/lib64")):
        for found in (*folder.glob(ZSTD), *folder.glob(f"*/{ZSTD}")):
            return found.resolve()
    raise Unavailable(f"Elasticsearch needs `{ZSTD}`: install libzstd1")
