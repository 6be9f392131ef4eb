"""Companies: who they are, how they work, what they offer, where they are going."""

from enrichers.analysis.kind import Analysis, AnalysisKind, Text, Texts
from enrichers.analysis.words import all_of, confidence, is_chinese, items, sentences, with_any


class CompanyAnalysis(Analysis):
    company_profile: Text
    culture_analysis: Text = ""
    benefits_analysis: Text = ""
    growth_potential: Text = ""
    industry_position: Text = ""


INSTRUCTIONS = """
The record is a company.
`company_profile`: what it does, for whom, how large it is and where, in two or three sentences.
`culture_analysis`: how it works and what it values, as far as its own words show it.
`benefits_analysis`: what it offers beside pay, and how that compares with what is usual.
`growth_potential`: what speaks for and against its growing in the next years.
`industry_position`: where it stands among others of its trade.
"""

_CULTURE = ("文化", "价值", "团队", "创新", "开放", "尊重", "culture", "value", "team", "open", "trust")
_GROWTH = ("增长", "发展", "扩张", "融资", "上市", "扩大", "grow", "expan", "fund", "scal", "new market")
_POSITION = ("领先", "龙头", "第一", "知名", "份额", "客户", "leading", "leader", "largest", "market", "customer")


def rules(texts: Texts) -> CompanyAnalysis:
    """Columns are known by the names ``name``, ``industry``, ``company_size``, ``location``, ``description`` and
    ``benefits``; others are searched all the same."""
    everything = all_of(texts)
    chinese = is_chinese(everything)
    said = texts.get("description", "") or everything
    benefits = items(texts.get("benefits", ""))
    facts = [texts[name] for name in ("industry", "company_size", "location") if name in texts]
    culture, growth, position = (" ".join(with_any(said, words, 2)) for words in (_CULTURE, _GROWTH, _POSITION))
    described = sentences(said, 2)
    told = [bool(described), len(facts) > 1, bool(benefits), bool(culture or growth or position)]
    return CompanyAnalysis(
        company_profile=_profile(texts.get("name", ""), facts, described, chinese),
        culture_analysis=culture,
        benefits_analysis=_benefits(benefits, chinese),
        growth_potential=growth,
        industry_position=position,
        confidence_score=confidence(sum(told), len(told)),
    )


def _profile(name: str, facts: list[str], described: list[str], chinese: bool) -> str:
    head = ("，" if chinese else ", ").join(part for part in (name, *facts) if part)
    return ("。" if chinese else ". ").join(part for part in (head, " ".join(described)) if part)


def _benefits(benefits: list[str], chinese: bool) -> str:
    if not benefits:
        return ""
    return f"提供{'、'.join(benefits)}" if chinese else f"Offers {', '.join(benefits)}"


COMPANY = AnalysisKind("company_analysis", CompanyAnalysis, 1, INSTRUCTIONS, 1, rules)
