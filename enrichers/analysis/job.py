"""Jobs: what a posting says, asks for and pays."""

import math
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from enrichers.analysis.kind import Analysis, AnalysisKind, Items, Text, Texts, clean
from enrichers.analysis.words import (
    all_of,
    confidence,
    is_chinese,
    is_open_to_all,
    items,
    sentences,
    skills,
    with_any,
    years,
)


def _period(value: Any) -> Any:
    """Models say it in their own words now and then: ``monthly``, ``per year``, ``annual``."""
    if not isinstance(value, str):
        return "month" if value is None else value
    return "year" if any(word in value.casefold() for word in ("year", "annual", "annum", "年")) else "month"


def _currency(value: Any) -> Any:
    return clean(value, 16) or "CNY" if isinstance(value, str) else "CNY" if value is None else value


def _amount(value: Any) -> Any:
    return round(value) if isinstance(value, float) and math.isfinite(value) else value


Amount = Annotated[int, BeforeValidator(_amount), Field(ge=0)]
Currency = Annotated[str, BeforeValidator(_currency)]
Period = Annotated[Literal["month", "year"], BeforeValidator(_period)]


class Salary(BaseModel):
    """Both ends are before tax; ``null`` where nothing can be said."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    minimum: Amount | None = None
    maximum: Amount | None = None
    currency: Currency = "CNY"
    period: Period = "month"


class JobAnalysis(Analysis):
    enhanced_description: Text
    extracted_skills: Items
    salary_prediction: Annotated[Salary, BeforeValidator(lambda value: {} if value is None else value)] = Salary()
    experience_requirements: Text
    company_culture_fit: Text = ""


INSTRUCTIONS = """
The record is a job posting.
`enhanced_description`: the job in two to four clear sentences, duties first, no advertising.
`extracted_skills`: every skill, tool and language that it asks for or works with, each by its usual name.
`salary_prediction`: what it pays, as stated; where nothing is stated, what such a job at that place usually pays.
`experience_requirements`: years and kind of experience in one sentence.
`company_culture_fit`: what kind of person fits, from how the posting speaks.
"""

_CULTURE = ("团队", "沟通", "协作", "压力", "自驱", "创新", "team", "mentor", "culture", "communicat", "remote", "care")
_RANGE = re.compile(r"(\d{1,3}(?:\.\d)?)\s*[kK千]?\s*[-–~至到]\s*(\d{1,3}(?:\.\d)?)\s*[kK千]")
_PLAIN = re.compile(r"(?<!\d)(\d{4,6})\s*[-–~至到]\s*(\d{4,6})(?!\d)")


def rules(texts: Texts) -> JobAnalysis:
    """Columns are known by the names ``title``, ``description``, ``requirements``, ``skills``,
    ``experience_required``, ``salary_min`` and ``salary_max``; others are searched all the same."""
    everything = all_of(texts)
    chinese = is_chinese(everything)
    said = "\n".join(texts[name] for name in ("description", "requirements") if name in texts) or everything
    described = sentences(said, 4)
    title = texts.get("title", "")
    found = [*items(texts.get("skills", "")), *skills(everything)]
    salary = _salary(texts, everything)
    experience = _experience(texts.get("experience_required", "") or everything, chinese)
    told = [bool(described), bool(found), salary.minimum is not None, bool(experience)]
    return JobAnalysis(
        enhanced_description=(("：" if chinese else ": ") if title and described else "").join(
            part for part in (title, " ".join(described)) if part
        ),
        extracted_skills=found,
        salary_prediction=salary,
        experience_requirements=experience,
        company_culture_fit=" ".join(with_any(said, _CULTURE, 2)),
        confidence_score=confidence(sum(told), len(told)),
    )


def _salary(texts: Texts, everything: str) -> Salary:
    """What is stated; rules do not guess."""
    low, high = texts.get("salary_min", ""), texts.get("salary_max", "")
    if low.isdecimal() or high.isdecimal():
        return Salary(minimum=int(low) if low.isdecimal() else None, maximum=int(high) if high.isdecimal() else None)
    if found := _RANGE.search(everything):
        return Salary(minimum=round(float(found[1]) * 1000), maximum=round(float(found[2]) * 1000))
    if found := _PLAIN.search(everything):
        return Salary(minimum=int(found[1]), maximum=int(found[2]))
    return Salary()


def _experience(text: str, chinese: bool) -> str:
    found = years(text)
    if found is None:
        return ("不限经验" if chinese else "open to all levels") if is_open_to_all(text) else ""
    low, high = found
    span = f"{low}-{high}" if high else f"{low}+"
    return f"{span} 年相关经验" if chinese else f"{span} years of relevant experience"


JOB = AnalysisKind("job_analysis", JobAnalysis, 1, INSTRUCTIONS, 1, rules)
