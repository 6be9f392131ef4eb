"""Rows that run the platform: settings, permissions, money, model services."""

import random

from tailrace.example import words
from tailrace.example.table import Counts, Table, Value, names
from tailrace.example.values import (
    awkward,
    below,
    day,
    decimal,
    document,
    moment,
    octets,
    pick,
    seldom,
)

ROLES = ("admin", "user", "guest", "recruiter", "auditor", "support")

_PERMISSIONS = 48


def _config(rng: random.Random, n: int, counts: Counts) -> tuple[Value, ...]:
    kind, value = pick(
        rng,
        (
            ("string", "zh-CN"),
            ("number", "1000"),
            ("boolean", "true"),
            ("json", document(rng, {"limit": 5, "hosts": ["a", "b"]})),
        ),
    )
    return (
        n,
        f"feature.{n}.limit",
        None if seldom(rng, 0.1) else value,
        kind,
        None if seldom(rng, 0.3) else awkward(rng, "最大并发 / upper limit", 500),
        int(seldom(rng, 0.9)),
        moment(rng, 3),
        moment(rng, 3),
    )


def _permission(rng: random.Random, n: int, counts: Counts) -> tuple[Value, ...]:
    resource, action = pick(rng, ("user", "job", "ai", "system")), pick(rng, ("read", "manage", "export"))
    return (
        n,
        awkward(rng, f"{resource} {action} 权限 {n}", 100),
        f"perm_{n}",
        None if seldom(rng, 0.3) else "管理与访问控制",
        None if seldom(rng, 0.1) else resource,
        None if seldom(rng, 0.1) else action,
        int(seldom(rng, 0.95)),
        moment(rng, 3),
        moment(rng, 3),
    )


def _role_permission(rng: random.Random, n: int, counts: Counts) -> tuple[Value, ...]:
    permission, role = divmod(n - 1, len(ROLES))
    return (
        ROLES[role],
        f"perm_{permission + 1}",
        None if seldom(rng, 0.3) else awkward(rng, "admin", 100),
        moment(rng, 3),
    )


def _financial(rng: random.Random, n: int, counts: Counts) -> tuple[Value, ...]:
    return (
        n,
        below(rng, counts["users"]) + 1,
        pick(rng, ("income", "expense", "transfer")),
        decimal(rng, 15, 2, 30_000.0),
        pick(rng, ("CNY", "CNY", "EUR", "USD")),
        None if seldom(rng, 0.3) else awkward(rng, "会员续费 / subscription", 500),
        None if seldom(rng, 0.2) else pick(rng, ("会员", "refund", "广告", "payroll")),
        day(rng),
        moment(rng, 3),
        moment(rng, 3),
    )


def _service(rng: random.Random, n: int, counts: Counts) -> tuple[Value, ...]:
    return (
        n,
        f"service-{n}",
        pick(rng, ("chat", "analysis", "generation", "translation")),
        None if seldom(rng, 0.2) else f"https://models.example.com/v1/{n}",
        None if seldom(rng, 0.3) else octets(rng, 24).hex(),
        None if seldom(rng, 0.1) else pick(rng, words.MODELS),
        1000 + below(rng, 9) * 1000,
        f"{rng.random() * 2:.2f}",
        decimal(rng, 10, 6, 0.002),
        int(seldom(rng, 0.8)),
        moment(rng, 3),
        moment(rng, 3),
    )


TABLES = (
    Table(
        "system_configs",
        names("id config_key config_value config_type description is_active created_at updated_at"),
        _config,
        weight=0.3,
        nullable=frozenset({"config_value", "description"}),
        at_most=200,
    ),
    Table(
        "permissions",
        names("id permission_name permission_code description resource_type action is_active created_at updated_at"),
        _permission,
        weight=0.3,
        nullable=frozenset({"description", "resource_type", "action"}),
        at_most=_PERMISSIONS,
    ),
    Table(
        "role_permissions",
        names("role_name permission_code granted_by created_at"),
        _role_permission,
        weight=0.3,
        key=("role_name", "permission_code"),
        nullable=frozenset({"granted_by"}),
        at_most=_PERMISSIONS * len(ROLES),
    ),
    Table(
        "financial_records",
        names(
            "id user_id transaction_type amount currency description category transaction_date created_at updated_at"
        ),
        _financial,
        weight=4,
        nullable=frozenset({"description", "category"}),
    ),
    Table(
        "ai_service_configs",
        names(
            "id service_name service_type api_endpoint api_key_encrypted model_name max_tokens temperature "
            "cost_per_token is_active created_at updated_at"
        ),
        _service,
        weight=0.1,
        nullable=frozenset({"api_endpoint", "api_key_encrypted", "model_name"}),
        at_most=24,
    ),
)
