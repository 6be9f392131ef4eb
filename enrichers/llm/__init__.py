"""Asking language models over HTTP: endpoints in declared order, within a rate and a budget."""

from enrichers.llm.client import Client, Completion
from enrichers.llm.prompt import Prompt

__all__ = ["Client", "Completion", "Prompt"]
