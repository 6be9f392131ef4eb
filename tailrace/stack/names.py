"""What the platform calls its databases, version by version."""

MAIN = "future"
"""The version whose databases go without its name."""


def ai_identity(version: str) -> str:
    return f"ai_identity_{'network' if version == MAIN else version}"


def dao(version: str) -> str:
    return "dao_governance" if version == MAIN else f"dao_governance_{version}"


def credit(version: str) -> str:
    return "enterprise_credit" if version == MAIN else f"enterprise_credit_{version}"


def redis_number(version: str) -> int:
    """The first of a version's three numbered databases; 0 for one of which the platform says nothing."""
    return {"dao": 3, "blockchain": 6}.get(version, 0)
