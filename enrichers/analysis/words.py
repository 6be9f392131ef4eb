"""What rules look for in Chinese and English texts. Pure, and the same for every text that is the same."""

import re
from collections.abc import Iterable
from functools import lru_cache

from enrichers.analysis.kind import Texts

SKILLS = (
    "Python", "Java", "JavaScript", "TypeScript", "Go", "Rust", "C++", "C#", "C", "PHP", "Ruby", "Kotlin", "Swift",
    "Scala", "R", "SQL", "HTML", "CSS", "Bash", "React", "Vue", "Angular", "Node.js", "Spring", "Django", "Flask",
    "FastAPI", ".NET", "MySQL", "PostgreSQL", "SQLite", "MongoDB", "Redis", "Elasticsearch", "Neo4j", "Weaviate",
    "Oracle", "ClickHouse", "Kafka", "RabbitMQ", "Flink", "Spark", "Hadoop", "Hive", "Airflow", "Docker", "Kubernetes",
    "Linux", "Git", "Terraform", "Ansible", "Jenkins", "Nginx", "AWS", "Azure", "GCP", "PyTorch", "TensorFlow", "NLP",
    "LLM", "Excel", "Tableau", "Power BI", "Figma", "Photoshop", "SAP", "Scrum", "UI/UX",
    "机器学习", "深度学习", "数据分析", "数据挖掘", "自然语言处理", "计算机视觉", "推荐系统", "分布式系统", "微服务",
    "网络安全", "测试自动化", "性能优化", "架构设计", "产品设计", "用户研究", "交互设计", "UI 设计", "项目管理",
    "团队管理", "市场营销", "财务分析", "招聘", "人力资源", "销售", "客户服务", "英语", "日语", "写作", "嵌入式",
    "distributed systems", "machine learning", "deep learning", "data analysis", "project management",
    "computer vision", "recruiting", "accounting", "technical writing", "English", "Mandarin",
)  # fmt: skip
"""Skills as they are shown; they are found whatever their case."""

_CASE_MATTERS = frozenset({"Go", "C", "R", "Spring", "Swift", "Rust", "Excel", "Scrum", "Oracle", "Spark", "Hive"})
"""Skills that are also plain words, or letters, in another case."""

_CHINESE = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]")
_LETTER = re.compile(r"[A-Za-z]")
_SENTENCE = re.compile(r"[^。！？!?\n.;；]+(?:\.(?=\S)[^。！？!?\n.;；]*)*[。！？!?.;；]?")
_YEARS = re.compile(
    r"(?<!\d)(\d{1,2})\s*(?:[-–—~至到]\s*(\d{1,2}))?\s*(?:\+|以上|or more)?"
    r"\s*(?:年|years?\b|yrs?\b)(?!\s*(?:old|代|级))",
    re.IGNORECASE,
)
_FRESH = re.compile(r"应届|不限|no experience|entry[ -]level|graduate program", re.IGNORECASE)


def all_of(texts: Texts) -> str:
    return "\n".join(texts[name] for name in sorted(texts))


def is_chinese(text: str) -> bool:
    """Whether more is said in Chinese than in Latin letters; a Chinese character says about as much as three."""
    return len(_CHINESE.findall(text)) * 3 > len(_LETTER.findall(text))


def skills(text: str) -> list[str]:
    """The skills named in ``text``, in the order of `SKILLS`."""
    return [name for name, pattern in _patterns() if pattern.search(text)]


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((name, re.compile(_edges(name), 0 if name in _CASE_MATTERS else re.IGNORECASE)) for name in SKILLS)


def _edges(name: str) -> str:
    """``Java`` is not in ``JavaScript`` and ``C`` not in ``C++``; Chinese has no spaces to look for."""
    escaped = re.escape(name).replace(r"\ ", r"\s?")
    if _CHINESE.search(name):
        return escaped
    return rf"(?<![A-Za-z0-9_.+#]){escaped}(?![A-Za-z0-9_+#]|\.[A-Za-z])"


def sentences(text: str, most: int) -> list[str]:
    """The first sentences, at most so many."""
    found = (sentence.strip() for sentence in _SENTENCE.findall(text))
    return [sentence for sentence in found if len(sentence) > 1][:most]


def with_any(text: str, words: Iterable[str], most: int) -> list[str]:
    """The sentences that hold one of ``words``, at most so many."""
    lowered = [word.casefold() for word in words]
    return [one for one in sentences(text, 10_000) if any(word in one.casefold() for word in lowered)][:most]


def years(text: str) -> tuple[int, int | None] | None:
    """The years of experience that ``text`` speaks of, from and to: the most demanding that it names."""
    found = [(int(low), int(high) if high else None) for low, high in _YEARS.findall(text)]
    return max(found, key=lambda one: (one[0], one[1] or 0), default=None)


def is_open_to_all(text: str) -> bool:
    return _FRESH.search(text) is not None


def items(text: str) -> list[str]:
    """A list in any of the ways in which people and JSON columns write one."""
    stripped = text.strip().strip("[]")
    return [part.strip(" \t\"'") for part in re.split(r"[,，、;；\n/|]", stripped) if part.strip(" \t\"'")]


def confidence(found: int, wanted: int) -> float:
    """How well rules did: between 0.2 and 0.6, for they never understand."""
    return round(0.2 + 0.4 * min(found, wanted) / wanted, 2)
