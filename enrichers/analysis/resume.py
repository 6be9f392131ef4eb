"""Resumes: what somebody can do, has done and has learnt, and how the page could be better."""

import math
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from enrichers.analysis.kind import Analysis, AnalysisKind, Items, Text, Texts
from enrichers.analysis.words import all_of, confidence, is_chinese, sentences, skills, with_any, years


def _score(value: Any) -> Any:
    return round(value) if isinstance(value, float) and math.isfinite(value) else value


Score = Annotated[int, BeforeValidator(_score), Field(ge=0, le=100)]


class ResumeAnalysis(Analysis):
    """``score`` is for the page, not for the person: 0 to 100."""

    skills: Items
    experience: Items = ()
    education: Items = ()
    summary: Text
    score: Score
    suggestions: Items = ()


INSTRUCTIONS = """
The record is a resume. Do not repeat names, addresses, telephone numbers or other means of contact.
`skills`: every skill, tool and language that it shows, each by its usual name.
`experience`: one short line for each position or project, the latest first.
`education`: one short line for each degree or certificate.
`summary`: the person's strengths in two or three sentences.
`score`: a whole number from 0 to 100 for how complete, specific and readable the resume is.
`suggestions`: up to five changes that would help most, each one concrete.
"""

_EXPERIENCE = ("经验", "负责", "曾", "带过", "项目", "built", "led", "worked", "moved", "experience", "responsible")
_EDUCATION = (
    "毕业",
    "本科",
    "硕士",
    "博士",
    "大学",
    "学院",
    "学历",
    "degree",
    "university",
    "bachelor",
    "master",
    "phd",
)
_SUGGESTIONS = {
    "figures": (
        "用数字说明成果，例如提升的比例或服务的用户数",
        "Give results in figures: a share, a rate, a number of users",
    ),
    "skills": ("单独列出掌握的技能与工具", "List skills and tools in a section of their own"),
    "education": ("补充教育背景或证书", "Add education or certificates"),
    "experience": ("写明每段经历中自己的职责", "Say what you were responsible for in each position"),
    "length": ("内容较少，补充项目与经历的细节", "There is little here: add details of projects and positions"),
}


def rules(texts: Texts) -> ResumeAnalysis:
    """Columns are known by the names ``title`` and ``content``; others are searched all the same."""
    everything = all_of(texts)
    content = texts.get("content", "") or everything
    found = skills(everything)
    experience, education = with_any(content, _EXPERIENCE, 8), with_any(content, _EDUCATION, 4)
    good = {
        "figures": any(character.isdigit() for character in content),
        "skills": len(found) >= 3,
        "education": bool(education),
        "experience": bool(experience) or years(content) is not None,
        "length": len(content) >= 200,
    }
    language = 0 if is_chinese(everything) else 1
    return ResumeAnalysis(
        skills=found,
        experience=experience,
        education=education,
        summary=" ".join(part for part in (texts.get("title", ""), *sentences(content, 2)) if part),
        score=30 + 12 * sum(good.values()),
        suggestions=[_SUGGESTIONS[name][language] for name, is_good in good.items() if not is_good],
        confidence_score=confidence(sum(good.values()), len(good)),
    )


RESUME = AnalysisKind("resume_analysis", ResumeAnalysis, 1, INSTRUCTIONS, 1, rules)
