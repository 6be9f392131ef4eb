"""Amounts in millionths of the prices' currency, as whole numbers: sums of them are exact. Pure.

A price for a million tokens is as many millionths for one.
"""

import math
from decimal import Decimal

from enrichers.llm.prompt import Prompt
from enrichers.settings import Endpoint

MILLION = 1_000_000
_AROUND_A_MESSAGE = 32
"""Tokens that a chat template may put around each message; the common ones put four to eight."""


def cost(endpoint: Endpoint, tokens_in: int, tokens_out: int) -> int:
    return math.ceil(endpoint.price_in * tokens_in + endpoint.price_out * tokens_out)


def most(endpoint: Endpoint, prompt: Prompt) -> int:
    """What a call can cost at most: no tokenizer makes more tokens of a text than it has bytes."""
    messages = prompt.messages()
    size = sum(len(message["content"].encode("utf-8", "replace")) + _AROUND_A_MESSAGE for message in messages)
    return cost(endpoint, size, prompt.most_tokens)


def amount(value: Decimal) -> int:
    return math.floor(value * MILLION)


def shown(millionths: int) -> float:
    return millionths / MILLION
