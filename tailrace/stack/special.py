"""The platform's three special databases, each on a server of its own, under the names that it has for them."""

from pathlib import Path

from tailrace.stack.host import Host
from tailrace.stack.mysql import MySQL
from tailrace.stack.postgres import Postgres
from tailrace.stack.settings import Settings

MAIN = "future"
"""The version whose databases go without its name."""


def ai_identity(version: str) -> str:
    return f"ai_identity_{'network' if version == MAIN else version}"


def dao(version: str) -> str:
    return "dao_governance" if version == MAIN else f"dao_governance_{version}"


def credit(version: str) -> str:
    return "enterprise_credit" if version == MAIN else f"enterprise_credit_{version}"


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
