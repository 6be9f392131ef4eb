"""The platform's three special databases, each on a server of its own."""

from pathlib import Path

from tailrace.stack.host import Host
from tailrace.stack.mysql import MySQL
from tailrace.stack.names import ai_identity, credit, dao
from tailrace.stack.postgres import Postgres
from tailrace.stack.settings import Settings


class AiIdentity(Postgres):
    """Who somebody is to the models: users, profiles, skills, behaviour, and what was made of them."""

    kind = "ai_identity"

    def __init__(self, host: Host, settings: Settings, folder: Path, version: str) -> None:
        super().__init__(host, settings, folder, version)
        self.database = ai_identity(version)


class Dao(MySQL):
    """Governance: proposals, points, votes."""

    kind = "dao"

    def __init__(self, host: Host, settings: Settings, folder: Path, version: str) -> None:
        super().__init__(host, settings, folder, version)
        self.database = dao(version)


class Credit(MySQL):
    """Companies: ratings, risks, compliance."""

    kind = "credit"

    def __init__(self, host: Host, settings: Settings, folder: Path, version: str) -> None:
        super().__init__(host, settings, folder, version)
        self.database = credit(version)
