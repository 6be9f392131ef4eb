"""Rows about people: accounts, profiles, resumes and their skills, behaviour."""

import random

from tailrace.example import words
from tailrace.example.table import Counts, Table, Value, names, owner
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
    seldom,
)

SKILLS_EACH = len(words.SKILLS)
"""A resume names a skill at most once, so this many rows of resume_skills fit on one resume."""

_ROLES = ("user",) * 17 + ("guest", "guest", "admin")
_SHARING = ("none", "anonymous", "platform", "partners")


def _user(rng: random.Random, n: int, counts: Counts) -> tuple[Value, ...]:
    handle = pick(rng, words.HANDLES)
    return (
        n,
        f"u_{n:09d}",
        awkward(rng, f"{handle}{n}", 100),
        # The ordinal keeps it unique under any collation; the rest is there to be changed.
        f"{handle}+{n}@{pick(rng, words.MAIL_HOSTS)}",
        None if seldom(rng, 0.2) else f"+86 1{30 + below(rng, 70)} {below(rng, 100_000_000):08d}",
        f"$2b$12${octets(rng, 26).hex()}",
        pick(rng, _ROLES),
        "active" if seldom(rng, 0.9) else pick(rng, ("inactive", "suspended")),
        None if seldom(rng, 0.25) else moment(rng),
        moment(rng, 3),
        moment(rng, 3),
    )


def _profile(rng: random.Random, n: int, counts: Counts) -> tuple[Value, ...]:
    name = pick(rng, words.SURNAMES) + pick(rng, words.GIVEN_NAMES)
    likes = {
        "cities": [pick(rng, words.CITIES), pick(rng, words.CITIES)],
        "salary": {"from": below(rng, 60) * 1000, "currency": "CNY"},
        "remote": seldom(rng, 0.4),
    }
    return (
        n,
        n,  # one profile for each user
        None if seldom(rng, 0.1) else awkward(rng, name, 100),
        octets(rng, 24 + below(rng, 100)) if seldom(rng, 0.15) else None,
        None if seldom(rng, 0.2) else prose(rng, words.LIFE, 3),
        None if seldom(rng, 0.1) else pick(rng, words.CITIES),
        None if seldom(rng, 0.1) else pick(rng, words.INDUSTRIES),
        None if seldom(rng, 0.15) else pick(rng, (-32768, 32767)) if seldom(rng, 0.002) else below(rng, 41),
        None if seldom(rng, 0.1) else pick(rng, ("high_school", "college", "bachelor", "master", "doctor")),
        None if seldom(rng, 0.2) else awkward(rng, ", ".join(rng.sample(words.SKILLS, 4)), 2000),
        None if seldom(rng, 0.4) else day(rng),
        pick(rng, words.LANGUAGES),
        pick(rng, words.TIMEZONES),
        None if seldom(rng, 0.2) else document(rng, likes),
        int(seldom(rng, 0.7)),
        pick(rng, _SHARING),
        int(seldom(rng, 0.1)),
        moment(rng, 3),
        moment(rng, 3),
    )


def _resume(rng: random.Random, n: int, counts: Counts) -> tuple[Value, ...]:
    longest = 100_000 if seldom(rng, 0.02) else 18_000
    return (
        n,
        owner(n, counts["users"]),
        awkward(rng, pick(rng, words.SENIORITY) + pick(rng, words.JOB_TITLES), 200),
        None if seldom(rng, 0.05) else prose(rng, words.LIFE, 8, longest),
        None if seldom(rng, 0.1) else octets(rng, 32),
        pick(rng, ("markdown", "upload", "template")),
        None if seldom(rng, 0.5) else below(rng, 40) + 1,
        pick(rng, ("draft", "published", "published", "archived")),
        int(seldom(rng, 0.5)),
        count(rng, 5000),
        count(rng, 300),
        count(rng, 50),
        int(seldom(rng, 0.7)),
        pick(rng, _SHARING),
        int(seldom(rng, 0.1)),
        moment(rng, 3),
        moment(rng, 3),
    )


def _resume_skill(rng: random.Random, n: int, counts: Counts) -> tuple[Value, ...]:
    # Round r over all resumes gives each its r-th skill; adding the resume's id varies the order
    # between resumes and never meets an earlier round before all skills are used up.
    round_, resume = divmod(n - 1, counts["resumes"])
    skill = (resume + round_) % SKILLS_EACH
    return (
        resume + 1,
        skill + 1,
        owner(resume + 1, counts["users"]),
        words.SKILLS[skill],
        pick(rng, ("beginner", "intermediate", "advanced", "expert")),
        None if seldom(rng, 0.15) else decimal(rng, 4, 1, 15.0),
        int(seldom(rng, 0.3)),
        moment(rng),
    )


def _behavior(rng: random.Random, n: int, counts: Counts) -> tuple[Value, ...]:
    target = pick(rng, ("job", "company", "resume", "template", None))
    ended = seldom(rng, 0.97)
    return (
        n,
        below(rng, counts["users"]) + 1,
        f"s-{below(rng, 1 << 48):012x}",
        pick(rng, ("login", "view", "view", "view", "create", "update", "delete")),
        target,
        None if target is None else below(rng, 1_000_000) + 1,
        None if seldom(rng, 0.4) else document(rng, {"page": below(rng, 9), "ms": rng.random(), "ok": ended}),
        None if seldom(rng, 0.1) else awkward(rng, pick(rng, words.AGENTS), 500),
        None if seldom(rng, 0.1) else octets(rng, 4 if seldom(rng, 0.8) else 16),
        below(rng, 90_000) if ended else -1,
        int(ended),
        moment(rng, 6),
    )


TABLES = (
    Table(
        "users",
        names(
            "id user_id username email phone password_hash role status last_login created_at updated_at",
        ),
        _user,
        weight=6,
        nullable=frozenset({"phone", "last_login"}),
    ),
    Table(
        "user_profiles",
        names(
            "id user_id real_name avatar bio location industry experience_years education_level "
            "skills_summary birth_date language timezone preferences ai_analysis_consent "
            "data_sharing_level third_party_access created_at updated_at"
        ),
        _profile,
        weight=5,
        nullable=frozenset(
            {
                "real_name",
                "avatar",
                "bio",
                "location",
                "industry",
                "experience_years",
                "education_level",
                "skills_summary",
                "birth_date",
                "preferences",
            }
        ),
        texts=("bio", "skills_summary"),
    ),
    Table(
        "resumes",
        names(
            "id user_id title content content_hash creation_mode template_id status is_public view_count "
            "like_count share_count ai_analysis_consent data_sharing_level third_party_access "
            "created_at updated_at"
        ),
        _resume,
        weight=7,
        nullable=frozenset({"content", "content_hash", "template_id"}),
        texts=("title", "content"),
    ),
    Table(
        "resume_skills",
        names("resume_id skill_id user_id skill_name proficiency_level years_of_experience is_verified created_at"),
        _resume_skill,
        weight=14,
        key=("resume_id", "skill_id"),
        nullable=frozenset({"years_of_experience"}),
    ),
    Table(
        "user_behaviors",
        names(
            "id user_id session_id action_type action_target action_target_id action_details user_agent "
            "ip_address duration success occurred_at"
        ),
        _behavior,
        weight=17,
        nullable=frozenset({"action_target", "action_target_id", "action_details", "user_agent", "ip_address"}),
    ),
)
