"""Cutting a long text into chunks of which each has a vector of its own. Pure.

Tokens are counted without any model's tokenizer, so that chunks stay what they are when the model changes: a Chinese,
Japanese or Korean character is one, a word one for every four characters begun, any other character but a blank one.
Models count fewer, hardly ever more.
"""

import re
from collections.abc import Iterator

_PART = re.compile(r"[぀-ヿ㐀-鿿豈-﫿가-힯]|[^\W぀-ヿ㐀-鿿豈-﫿가-힯]{1,4}|[^\w\s]")

MOST_PIECES = 256
"""Of one row; what is beyond is not read."""


def pieces(text: str, tokens: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Where chunks of at most ``tokens`` begin and end in ``text``, the end not included; each begins ``overlap``
    tokens before the end of the one before. None where there is nothing to read."""
    found = [match.span() for match in _PART.finditer(text)]
    for number, at in enumerate(range(0, len(found), tokens - overlap)):
        last = min(at + tokens, len(found)) - 1
        yield found[at][0], found[last][1]
        if last == len(found) - 1 or number == MOST_PIECES - 1:
            return
