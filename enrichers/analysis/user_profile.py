"""People's profiles: traits and skills as they describe them, and what to do next."""

from collections.abc import Sequence

from enrichers.analysis.kind import Analysis, AnalysisKind, Items, Texts
from enrichers.analysis.words import all_of, confidence, is_chinese, items, skills, with_any


class UserProfileAnalysis(Analysis):
    personality_traits: Items = ()
    skills_assessment: Items
    career_recommendations: Items = ()
    learning_suggestions: Items = ()


INSTRUCTIONS = """
The record is how somebody describes themselves on the platform. Do not repeat names or means of contact, and say
nothing about health, origin, belief or family.
`personality_traits`: up to five traits that matter at work and that their own words show.
`skills_assessment`: one short line for each skill, with how far it seems to go.
`career_recommendations`: up to three next steps that suit experience, trade and education.
`learning_suggestions`: up to three things to learn that would open those steps.
"""

_TRAITS = {
    ("开源", "open source", "maintain"): ("乐于分享", "shares what they make"),
    ("热爱", "热情", "love", "passion"): ("有热情", "enthusiastic"),
    ("团队", "带过", "team", "mentor", "led"): ("善于协作", "works well with others"),
    ("负责", "responsib", "own"): ("有责任心", "takes responsibility"),
    ("学习", "learn", "moved from"): ("持续学习", "keeps learning"),
    ("沟通", "speaks", "communicat"): ("善于沟通", "communicates well"),
}
_SENIOR, _JUNIOR = 5, 2
_NEXT = {
    "Python": ("分布式系统", "distributed systems"),
    "Java": ("Kubernetes", "Kubernetes"),
    "SQL": ("数据分析", "data analysis"),
    "React": ("TypeScript", "TypeScript"),
    "数据分析": ("机器学习", "machine learning"),
    "机器学习": ("深度学习", "deep learning"),
    "MySQL": ("Kafka", "Kafka"),
}


def rules(texts: Texts) -> UserProfileAnalysis:
    """Columns are known by the names ``bio``, ``industry``, ``experience_years``, ``education_level`` and
    ``skills_summary``; others are searched all the same."""
    everything = all_of(texts)
    language = 0 if is_chinese(everything) else 1
    found = skills(everything) or items(texts.get("skills_summary", ""))[:10]
    traits = [named[language] for words, named in _TRAITS.items() if with_any(everything, words, 1)]
    career = _career(texts, language)
    told = [bool(found), bool(traits), bool(career), "education_level" in texts]
    return UserProfileAnalysis(
        personality_traits=traits,
        skills_assessment=found,
        career_recommendations=career,
        learning_suggestions=_learning(found, language),
        confidence_score=confidence(sum(told), len(told)),
    )


def _learning(found: Sequence[str], language: int) -> list[str]:
    """What usually comes after the skills found, without what is known already."""
    named = [_NEXT[skill] for skill in found if skill in _NEXT]
    return [pair[language] for pair in named if not set(pair) & set(found)][:3]


def _career(texts: Texts, language: int) -> list[str]:
    experience = texts.get("experience_years", "")
    if not experience.isdecimal():
        return []
    industry = texts.get("industry", "")
    if int(experience) >= _SENIOR:
        step = ("承担技术或团队负责人的职责", "Take the lead of a team or of a field")[language]
    elif int(experience) <= _JUNIOR:
        step = ("在一个方向上积累完整的项目经验", "See one project through from start to end")[language]
    else:
        step = ("独立负责一个模块或产品线", "Own a module or a product line")[language]
    return [f"{industry}：{step}" if industry and language == 0 else f"{industry}: {step}" if industry else step]


USER_PROFILE = AnalysisKind("user_profile_analysis", UserProfileAnalysis, 1, INSTRUCTIONS, 1, rules)
