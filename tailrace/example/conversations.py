"""Rows about conversations with a model, and what models made of the platform's rows."""

import random

from tailrace.example import words
from tailrace.example.table import Counts, Table, Value, names, owner
from tailrace.example.values import (
    below,
    document,
    moment,
    pick,
    prose,
    ratio,
    seldom,
)

_KINDS = ("career_advice", "resume_review", "interview_prep", "skill_analysis", "general")
_TARGETS = {
    "company": "companies",
    "job": "jobs",
    "resume": "resumes",
    "user": "users",
    "conversation": "ai_conversations",
}


def _conversation(rng: random.Random, n: int, counts: Counts) -> tuple[Value, ...]:
    context = {"locale": pick(rng, words.LANGUAGES), "turns": below(rng, 12), "topics": [pick(rng, _KINDS)]}
    return (
        n,
        owner(n, counts["users"]),
        pick(rng, _KINDS),
        f"s-{below(rng, 1 << 48):012x}",
        prose(rng, words.QUESTIONS, 2),
        None if seldom(rng, 0.05) else prose(rng, words.ANSWERS, 6),
        pick(rng, words.MODELS),
        None if seldom(rng, 0.3) else document(rng, context),
        below(rng, 30),
        int(seldom(rng, 0.6)),
        None if seldom(rng, 0.2) else moment(rng, 3),
        moment(rng, 3),
        moment(rng, 3),
    )


def _message(rng: random.Random, n: int, counts: Counts) -> tuple[Value, ...]:
    conversation = below(rng, counts["ai_conversations"]) + 1
    asked = seldom(rng, 0.5)
    return (
        n,
        conversation,
        owner(conversation, counts["users"]),
        "system" if seldom(rng, 0.05) else "user" if asked else "assistant",
        prose(rng, words.QUESTIONS if asked else words.ANSWERS, 3),
        None if seldom(rng, 0.5) else document(rng, {"finish": "stop", "logprob": -rng.random() * 9}),
        None if asked else below(rng, 2000),
        None if asked else below(rng, 9000),
        moment(rng, 6),
    )


def _analysis(rng: random.Random, n: int, counts: Counts) -> tuple[Value, ...]:
    target = pick(rng, tuple(_TARGETS))
    result = {
        "summary": pick(rng, words.ANSWERS),
        "scores": {"fit": ratio(rng), "clarity": ratio(rng)},
        "skills": rng.sample(words.SKILLS, 2),
    }
    return (
        n,
        below(rng, counts["users"]) + 1,
        f"{target}_analysis",
        target,
        None if seldom(rng, 0.05) else below(rng, counts[_TARGETS[target]]) + 1,
        prose(rng, words.LIFE, 3),
        document(rng, result),
        None if seldom(rng, 0.1) else ratio(rng),
        None if seldom(rng, 0.1) else below(rng, 9000),
        None if seldom(rng, 0.1) else pick(rng, words.MODELS),
        int(seldom(rng, 0.9)),
        moment(rng, 3),
    )


TABLES = (
    Table(
        "ai_conversations",
        names(
            "id user_id conversation_type session_id user_input ai_response model_name conversation_context "
            "message_count is_active last_activity_at created_at updated_at"
        ),
        _conversation,
        weight=9,
        nullable=frozenset({"ai_response", "conversation_context", "last_activity_at"}),
        texts=("user_input", "ai_response"),
    ),
    Table(
        "ai_messages",
        names("id conversation_id user_id message_type content metadata tokens_used processing_time_ms created_at"),
        _message,
        weight=16,
        nullable=frozenset({"metadata", "tokens_used", "processing_time_ms"}),
    ),
    Table(
        "ai_analysis_results",
        names(
            "id user_id analysis_type target_type target_id input_content analysis_result confidence_score "
            "processing_time model_name is_valid created_at"
        ),
        _analysis,
        weight=5,
        nullable=frozenset({"target_id", "confidence_score", "processing_time", "model_name"}),
        texts=("input_content",),
    ),
)
