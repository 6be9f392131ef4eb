"""Weaviate, built from its sources by the `go` client: its makers publish no program in a registry."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import httpx

from tailrace.stack.errors import NotReady, StackError, Unavailable
from tailrace.stack.fetch import fetched
from tailrace.stack.host import Host
from tailrace.stack.process import Command
from tailrace.stack.server import Server
from tailrace.stack.settings import Settings

RELEASE = "v1.35.2"
PACKAGE = "github.com/weaviate/weaviate/cmd/weaviate-server"
FOLDER = f"weaviate-{RELEASE}"
USER = "tailrace"
PORTS = ("grpc", "gossip", "data", "raft", "raft-rpc")


class Weaviate(Server):
    """One node, one key. It makes no vectors itself."""

    kind = "weaviate"

    def __init__(self, host: Host, settings: Settings, folder: Path, version: str) -> None:
        super().__init__(host, settings, folder, version)
        self._ports = {name: f"{self.name}-{name}" for name in PORTS}

    def choose_ports(self) -> None:
        """See `Server.choose_ports`."""
        super().choose_ports()
        for name in self._ports.values():
            self.settings.free_port(name)

    def fetch(self) -> None:
        """See `Server.fetch`."""
        what = "Weaviate 1.35 (370 MB of sources, some minutes to compile)"
        fetched(self.host, FOLDER, self._build, what=what, megabytes=3000)

    def _build(self, folder: Path) -> None:
        if not shutil.which("go"):
            raise Unavailable("Weaviate is built with `go` 1.25 or newer, which is not here")
        # Everything that Go leaves behind is of no use once the program is there.
        work = folder / "work"
        environ = {
            "GOPATH": str(work), "GOCACHE": str(work / "cache"), "GOBIN": str(folder), "CGO_ENABLED": "0",
            "GOFLAGS": "-buildvcs=false -modcacherw -trimpath -ldflags=-s", "GOTOOLCHAIN": "local",
        }  # fmt: skip
        work.mkdir()
        try:
            self.host.run(["go", "install", f"{PACKAGE}@{RELEASE}"], what="building Weaviate", cwd=work, env=environ)
        except StackError as error:
            self.host.check_cancelled()
            raise Unavailable(str(error)) from error
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def fill(self, data: Path) -> None:
        """An empty folder is a new server's data."""

    def command(self) -> Command:
        """See `Server.command`."""
        words = [str(self.host.cache / FOLDER / "weaviate-server"), "--scheme", "http"]
        return Command([*words, "--host", "127.0.0.1", "--port", str(self.port)], cwd=self.folder, env=self._environ())

    def _environ(self) -> Mapping[str, str]:
        ports = {name: str(self.settings.port(own)) for name, own in self._ports.items()}
        return {
            "PERSISTENCE_DATA_PATH": str(self.data),
            "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "false",
            "AUTHENTICATION_APIKEY_ENABLED": "true",
            "AUTHENTICATION_APIKEY_ALLOWED_KEYS": self.password(USER),
            "AUTHENTICATION_APIKEY_USERS": USER,
            "AUTHORIZATION_ADMINLIST_ENABLED": "true",
            "AUTHORIZATION_ADMINLIST_USERS": USER,
            "DEFAULT_VECTORIZER_MODULE": "none",
            "ENABLE_MODULES": "",
            "DEFAULT_QUANTIZATION": "none",  # vectors are compared with what was written
            "DISABLE_TELEMETRY": "true",
            "GO_PROFILING_DISABLE": "true",  # else it opens a port to everybody
            "PROMETHEUS_MONITORING_ENABLED": "false",
            "GOMAXPROCS": str(min(2, os.cpu_count() or 1)),
            "LIMIT_RESOURCES": "false",
            "GOMEMLIMIT": "2GiB",
            "GRPC_PORT": ports["grpc"],
            "CLUSTER_HOSTNAME": "one",
            "CLUSTER_ADVERTISE_ADDR": "127.0.0.1",
            "CLUSTER_GOSSIP_BIND_PORT": ports["gossip"],
            "CLUSTER_DATA_BIND_PORT": ports["data"],
            "RAFT_PORT": ports["raft"],
            "RAFT_INTERNAL_RPC_PORT": ports["raft-rpc"],
            "RAFT_BOOTSTRAP_EXPECT": "1",
            "RAFT_JOIN": "one",
        }

    def ping(self) -> None:
        """See `Server.ping`."""
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.port}/v1/.well-known/ready", timeout=5)
        except httpx.HTTPError as error:
            raise NotReady(str(error)) from error
        if answer.status_code != httpx.codes.OK:
            raise NotReady(f"it answers {answer.status_code}")

    def endpoint(self, version: str) -> str:
        """See `Server.endpoint`."""
        grpc = self.settings.port(self._ports["grpc"])
        return f"http://{USER}:{self.password(USER)}@127.0.0.1:{self.port}?grpc={grpc}"

    def admin(self) -> str:
        """See `Server.admin`."""
        return self.endpoint(self.version)
