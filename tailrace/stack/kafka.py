"""Kafka 4.3 in KRaft mode, one broker for all versions, from Maven's jars."""

from base64 import urlsafe_b64encode
from pathlib import Path
from uuid import uuid4

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the package marks none of these as exported
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from tailrace.stack import maven
from tailrace.stack.errors import NotReady, StackError
from tailrace.stack.fetch import fetched
from tailrace.stack.files import write_private
from tailrace.stack.host import Host
from tailrace.stack.process import Command
from tailrace.stack.server import Server
from tailrace.stack.settings import Settings

ADMIN = "admin"
CONTROLLER = "kafka-controller"  # the name of its second port
FOLDER = "kafka-4.3.1"
HEAP = ("-Xms256m", "-Xmx768m")
MESSAGE_BYTES = 8 * 1024 * 1024

PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"


def properties(data: Path, port: int, controller_port: int, users: dict[str, str]) -> str:
    """``server.properties``; ``users`` are passwords by principal, `ADMIN` among them.

    Both listeners ask for a password: whoever reached the controller's without one would be above all rules.
    """
    known = " ".join(f'user_{name}="{word}"' for name, word in sorted(users.items()))
    login = f'{PLAIN} username="{ADMIN}" password="{users[ADMIN]}" {known};'
    lines = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"CLIENT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"CLIENT://127.0.0.1:{port}",
        "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "CLIENT",
        "sasl.enabled.mechanisms": "PLAIN",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "sasl.mechanism.controller.protocol": "PLAIN",
        "listener.name.client.plain.sasl.jaas.config": login,
        "listener.name.controller.plain.sasl.jaas.config": login,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{ADMIN}",
        # A broker that was killed may register again only once its session has ended: 9 s unless told otherwise.
        "broker.session.timeout.ms": 4000,
        "broker.heartbeat.interval.ms": 500,
        "log.dirs": data,
        "num.partitions": 1,
        "auto.create.topics.enable": "false",
        "message.max.bytes": MESSAGE_BYTES,
        "replica.fetch.max.bytes": MESSAGE_BYTES,
        "default.replication.factor": 1,
        "min.insync.replicas": 1,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,
    }
    return "".join(f"{key}={value}\n" for key, value in lines.items())


def rules(version: str) -> list[AclBinding]:
    """What a version may do: everything with names that start with its own, and produce idempotently.

    Not describe the cluster: whoever may is told the names of all groups, the other versions' among them.
    """

    def allow(resource: ResourceType, name: str, pattern: ResourcePatternType, operation: AclOperation) -> AclBinding:
        return AclBinding(resource, name, pattern, f"User:{version}", "*", operation, AclPermissionType.ALLOW)

    own = (ResourceType.TOPIC, ResourceType.GROUP, ResourceType.TRANSACTIONAL_ID)
    return [
        *(allow(kind, f"{version}.", ResourcePatternType.PREFIXED, AclOperation.ALL) for kind in own),
        allow(ResourceType.BROKER, "kafka-cluster", ResourcePatternType.LITERAL, AclOperation.IDEMPOTENT_WRITE),
    ]


class Kafka(Server):
    """A principal per version, who can neither see nor touch another's topics, groups and transactions."""

    kind = "kafka"

    def __init__(self, host: Host, settings: Settings, folder: Path, versions: tuple[str, ...]) -> None:
        super().__init__(host, settings, folder, "shared")
        self.name = self.kind
        self.folder = folder / self.name
        self.versions = versions
        for user in (ADMIN, *versions):
            self.password(user)

    def choose_ports(self) -> None:
        """See `Server.choose_ports`."""
        super().choose_ports()
        self.settings.free_port(CONTROLLER)

    def fetch(self) -> None:
        """See `Server.fetch`."""
        maven.java()
        fetched(
            self.host,
            FOLDER,
            lambda folder: maven.jars(self.host, "kafka", folder),
            what="Kafka 4.3 (55 MB)",
            megabytes=250,
        )

    def _java(self, *options: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={maven.FILES / 'kafka' / 'log4j2.properties'}"
        quiet = ("-XX:-UsePerfData", "--sun-misc-unsafe-memory-access=allow", "-Djava.awt.headless=true")
        words = [str(maven.java()), *options, *quiet, logging]
        return [*words, "-cp", f"{self.host.cache / FOLDER}/*"]

    def _properties(self, data: Path) -> str:
        users = self.settings.passwords(f"{self.name}.")
        return properties(data, self.port, self.settings.port(CONTROLLER), users)

    def fill(self, data: Path) -> None:
        """See `Server.fill`."""
        config = self.folder / "format.properties"
        write_private(config, self._properties(data))
        cluster = urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")
        words = self._java("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
        try:
            self.host.run([*words, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", config],
                          what="formatting Kafka's storage")  # fmt: skip
        finally:
            config.unlink()

    def command(self) -> Command:
        """See `Server.command`."""
        config = self.folder / "server.properties"
        words = self._java(*HEAP, "-XX:MaxGCPauseMillis=20")
        return Command(
            [*words, "kafka.Kafka", str(config)], cwd=self.folder, files={config: self._properties(self.data)}
        )

    def _client(self) -> AdminClient:
        return AdminClient(
            {
                "bootstrap.servers": f"127.0.0.1:{self.port}",
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "PLAIN",
                "sasl.username": ADMIN,
                "sasl.password": self.password(ADMIN),
                "log_level": 0,
            }
        )

    def ping(self) -> None:
        """See `Server.ping`."""
        if not self.answers():
            raise NotReady("nobody listens yet")
        try:
            self._client().list_topics(timeout=5)
        except KafkaException as error:
            raise NotReady(str(error)) from error

    def provision(self) -> None:
        """See `Server.provision`; a rule that is there already stays one rule."""
        bindings = [rule for version in self.versions for rule in rules(version)]
        client = self._client()  # which must live until the last answer is in
        for future in client.create_acls(bindings, request_timeout=15).values():
            try:
                future.result()
            except KafkaException as error:
                raise StackError(f"Kafka refuses an access rule: {error}") from error

    def endpoint(self, version: str) -> str:
        """See `Server.endpoint`; SASL/PLAIN, without TLS."""
        return f"kafka://{version}:{self.password(version)}@127.0.0.1:{self.port}"

    def admin(self) -> str:
        """See `Server.admin`."""
        return f"kafka://{ADMIN}:{self.password(ADMIN)}@127.0.0.1:{self.port}"
