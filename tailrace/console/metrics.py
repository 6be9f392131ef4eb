"""The agents' metrics as one exposition. Pure; the format is Prometheus' text format 0.0.4."""

from collections.abc import Mapping

UP = "tailrace_agent_up"


def joined(told: Mapping[str, str | None]) -> str:
    """Every agent's metrics, by version, each sample labelled with its version; ``None`` for an agent that is silent.

    A family is told once, with its samples of all versions together, as the format demands. A ``version`` label that
    is there already is kept.
    """
    families: dict[str, _Family] = {UP: _Family(["# HELP tailrace_agent_up Whether the version's agent answers.",
                                                 "# TYPE tailrace_agent_up gauge"], [])}  # fmt: skip
    for version, text in told.items():
        families[UP].samples.append(f'{UP}{{version="{escaped(version)}"}} {0 if text is None else 1}')
        _add(families, version, text or "")
    return "".join(f"{line}\n" for family in families.values() for line in (*family.about, *family.samples))


class _Family:
    def __init__(self, about: list[str], samples: list[str]) -> None:
        self.about, self.samples = about, samples


def _add(families: dict[str, "_Family"], version: str, text: str) -> None:
    current = ""
    for line in text.splitlines():
        if line.startswith(("# HELP ", "# TYPE ")):
            current = line.split(" ", 3)[2]
            family = families.setdefault(current, _Family([], []))
            kind = line[:7]
            if not any(one.startswith(kind) for one in family.about):
                family.about.append(line)
        elif line.strip() and not line.startswith("#"):
            name = line.split("{")[0].split(" ")[0]
            if not (current and (name == current or name.startswith(f"{current}_"))):
                current = name
            families.setdefault(current, _Family([], [])).samples.append(labelled(line, version))


def labelled(sample: str, version: str) -> str:
    """A sample with its version among its labels."""
    name, brace, rest = sample.partition("{")
    mark = f'version="{escaped(version)}"'
    if not brace:
        name, _, value = sample.partition(" ")
        return f"{name}{{{mark}}} {value}"
    if rest.startswith("version=") or ',version="' in rest:
        return sample
    return f"{name}{{{mark}{'' if rest.startswith('}') else ','}{rest}"


def escaped(text: str) -> str:
    """A label's value, as the format wants it."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
