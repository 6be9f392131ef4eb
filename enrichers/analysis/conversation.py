"""Conversations with a model: what somebody wanted, whether it was answered, how they felt about it."""

from typing import Literal

from enrichers.analysis.kind import Analysis, AnalysisKind, Items, Text, Texts
from enrichers.analysis.words import all_of, confidence, sentences, skills, with_any

Topic = Literal["career_advice", "resume_review", "interview_prep", "skill_analysis", "general"]
Mood = Literal["positive", "neutral", "negative"]


class ConversationAnalysis(Analysis):
    topic: Topic
    intent: Text
    sentiment: Mood = "neutral"
    key_points: Items = ()
    tags: Items = ()
    follow_ups: Items = ()


INSTRUCTIONS = """
The record is one exchange between a person and an assistant. Do not repeat names or means of contact.
`topic`: which of the listed topics it is about.
`intent`: what the person wants, in one sentence.
`sentiment`: how the person sounds.
`key_points`: up to five points of the answer, each a short sentence.
`tags`: up to eight words under which it should be found.
`follow_ups`: up to three questions that the person may ask next.
"""

_TOPICS: dict[Topic, tuple[str, ...]] = {
    "resume_review": ("简历", "resume", "cv", "gap of"),
    "interview_prep": ("面试", "interview"),
    "skill_analysis": ("技能", "学习", "skill", "learn"),
    "career_advice": ("职业", "薪资", "转行", "岗位", "职位", "career", "salary", "job", "role"),
}
_GLAD = ("谢谢", "感谢", "很好", "太好了", "thank", "great", "perfect")
_UPSET = ("没用", "失望", "错误", "不对", "糟", "useless", "wrong", "disappoint", "bad answer")


def rules(texts: Texts) -> ConversationAnalysis:
    """Columns are known by the names ``conversation_type``, ``user_input`` and ``ai_response``; others are searched
    all the same."""
    everything = all_of(texts)
    asked = texts.get("user_input", "") or everything
    points = sentences(texts.get("ai_response", ""), 5)
    topic = _topic(texts.get("conversation_type", ""), asked)
    tags = skills(everything)[:8]
    told = [topic != "general", bool(points), bool(tags)]
    return ConversationAnalysis(
        topic=topic,
        intent=" ".join(sentences(asked, 1)),
        sentiment="negative" if with_any(asked, _UPSET, 1) else "positive" if with_any(asked, _GLAD, 1) else "neutral",
        key_points=points,
        tags=tags,
        confidence_score=confidence(sum(told), len(told)),
    )


def _topic(declared: str, asked: str) -> Topic:
    """As the platform filed it; where it did not, by the first topic whose words are found."""
    for topic in _TOPICS:
        if declared == topic:
            return topic
    return next((topic for topic, words in _TOPICS.items() if with_any(asked, words, 1)), "general")


CONVERSATION = AnalysisKind("conversation_analysis", ConversationAnalysis, 1, INSTRUCTIONS, 1, rules)
