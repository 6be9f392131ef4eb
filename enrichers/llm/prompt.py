"""What a model is asked."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Prompt:
    """``system`` says what to do, ``user`` is what to do it with; at most ``most_tokens`` may come back."""

    system: str
    user: str
    most_tokens: int

    def messages(self) -> list[dict[str, str]]:
        return [{"role": "system", "content": self.system}, {"role": "user", "content": self.user}]
