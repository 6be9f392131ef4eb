"""Rows about companies and their jobs, and what is known of a company's credit."""

import random

from tailrace.example import words
from tailrace.example.table import Counts, Table, Value, names
from tailrace.example.values import (
    awkward,
    below,
    count,
    day,
    decimal,
    document,
    moment,
    octets,
    pick,
    prose,
    ratio,
    seldom,
)

_GRADES = ("AAA", "AA", "A", "BBB", "BB", "B", "C", "D")


def _company(rng: random.Random, n: int, counts: Counts) -> tuple[Value, ...]:
    return (
        n,
        awkward(rng, pick(rng, words.COMPANY_STEMS) + pick(rng, words.COMPANY_KINDS), 200),
        None if seldom(rng, 0.1) else pick(rng, words.INDUSTRIES),
        None if seldom(rng, 0.1) else pick(rng, ("1-20", "21-99", "100-499", "500-999", "1000-9999", "10000+")),
        None if seldom(rng, 0.1) else pick(rng, words.CITIES),
        None if seldom(rng, 0.3) else f"https://c{n}.example.com/?q=a%20b",
        None if seldom(rng, 0.15) else prose(rng, words.DUTIES, 3),
        None if seldom(rng, 0.2) else document(rng, rng.sample(words.BENEFITS, 3)),
        None if seldom(rng, 0.2) else day(rng),
        None if seldom(rng, 0.2) else decimal(rng, 20, 2, 5e7),
        None if seldom(rng, 0.2) else count(rng, 20_000),
        None if seldom(rng, 0.2) else f"9111{below(rng, 10**14):014d}",
        None if seldom(rng, 0.2) else f"hr+{n}@{pick(rng, words.MAIL_HOSTS)}",
        pick(rng, ("pending", "verified", "verified", "verified", "rejected", "closed")),
        moment(rng, 3),
        moment(rng, 3),
    )


def _job(rng: random.Random, n: int, counts: Counts) -> tuple[Value, ...]:
    low = 4000 + below(rng, 80) * 500
    return (
        n,
        below(rng, counts["companies"]) + 1,
        awkward(rng, pick(rng, words.SENIORITY) + pick(rng, words.JOB_TITLES), 200),
        prose(rng, words.DUTIES, 5),
        None if seldom(rng, 0.1) else prose(rng, words.WANTED, 4),
        None if seldom(rng, 0.05) else pick(rng, words.CITIES),
        None if seldom(rng, 0.15) else low,
        None if seldom(rng, 0.15) else low + below(rng, 40) * 500,
        pick(rng, ("full_time", "full_time", "full_time", "part_time", "contract", "internship", "remote")),
        None if seldom(rng, 0.1) else pick(rng, words.EXPERIENCE),
        None if seldom(rng, 0.1) else document(rng, rng.sample(words.SKILLS, 3)),
        pick(rng, ("draft", "open", "open", "open", "paused", "closed")),
        None if seldom(rng, 0.3) else f"+86 755 {below(rng, 100_000_000):08d}",
        None if seldom(rng, 0.6) else awkward(rng, "预算已批,先看内部推荐", 500),
        None if seldom(rng, 0.1) else moment(rng),
        moment(rng, 3),
        moment(rng, 3),
    )


def _rating(rng: random.Random, n: int, counts: Counts) -> tuple[Value, ...]:
    return (
        n,
        below(rng, counts["companies"]) + 1,
        pick(rng, words.AGENCIES),
        pick(rng, _GRADES),
        None if seldom(rng, 0.1) else decimal(rng, 5, 2, 99.0),
        None if seldom(rng, 0.2) else pick(rng, ("positive", "stable", "negative")),
        None if seldom(rng, 0.2) else document(rng, {"debt": ratio(rng), "age": below(rng, 40), "过往": []}),
        day(rng),
        moment(rng, 3),
    )


def _risk(rng: random.Random, n: int, counts: Counts) -> tuple[Value, ...]:
    resolved = seldom(rng, 0.4)
    return (
        n,
        below(rng, counts["companies"]) + 1,
        pick(rng, ("legal", "financial", "operational", "reputation", "labour")),
        pick(rng, (-128, 127)) if seldom(rng, 0.002) else below(rng, 7) - 1,
        None if seldom(rng, 0.2) else ratio(rng),
        None if seldom(rng, 0.3) else decimal(rng, 20, 2, 2e6),
        None if seldom(rng, 0.2) else awkward(rng, "涉及劳动争议一起,尚在审理 (case pending)", 500),
        None if seldom(rng, 0.4) else document(rng, [{"source": "court", "id": below(rng, 1 << 53)}]),
        int(resolved),
        moment(rng, 6),
        moment(rng) if resolved else None,
    )


def _compliance(rng: random.Random, n: int, counts: Counts) -> tuple[Value, ...]:
    return (
        n,
        below(rng, counts["companies"]) + 1,
        pick(rng, words.REGULATIONS),
        pick(rng, ("compliant", "compliant", "partial", "violation", "unknown")),
        None if seldom(rng, 0.3) else awkward(rng, pick(rng, words.AGENCIES), 100),
        None if seldom(rng, 0.3) else octets(rng, 32),
        None if seldom(rng, 0.3) else document(rng, {"open": below(rng, 5), "notes": ["缺少同意记录"]}),
        None if seldom(rng, 0.3) else day(rng),
        moment(rng),
        moment(rng, 3),
    )


TABLES = (
    Table(
        "companies",
        names(
            "id name industry company_size location website description benefits founded_on "
            "registered_capital employee_count license_number contact_email status created_at updated_at"
        ),
        _company,
        weight=1.5,
        nullable=frozenset(
            {
                "industry",
                "company_size",
                "location",
                "website",
                "description",
                "benefits",
                "founded_on",
                "registered_capital",
                "employee_count",
                "license_number",
                "contact_email",
            }
        ),
        texts=("description",),
    ),
    Table(
        "jobs",
        names(
            "id company_id title description requirements location salary_min salary_max job_type "
            "experience_required skills status contact_phone internal_note posted_at created_at updated_at"
        ),
        _job,
        weight=9,
        nullable=frozenset(
            {
                "requirements",
                "location",
                "salary_min",
                "salary_max",
                "experience_required",
                "skills",
                "contact_phone",
                "internal_note",
                "posted_at",
            }
        ),
        texts=("title", "description", "requirements"),
    ),
    Table(
        "company_ratings",
        names("id company_id agency grade score outlook factors rated_on created_at"),
        _rating,
        weight=1,
        nullable=frozenset({"score", "outlook", "factors"}),
    ),
    Table(
        "company_risks",
        names(
            "id company_id risk_type severity probability exposure description evidence is_resolved "
            "detected_at resolved_at"
        ),
        _risk,
        weight=1,
        nullable=frozenset({"probability", "exposure", "description", "evidence", "resolved_at"}),
    ),
    Table(
        "company_compliance",
        names("id company_id regulation status checked_by evidence_hash findings valid_until checked_at updated_at"),
        _compliance,
        weight=1,
        nullable=frozenset({"checked_by", "evidence_hash", "findings", "valid_until"}),
    ),
)
