"""The sizes of all-MiniLM-L6-v2, from the ``config.json`` and ``sentence_bert_config.json`` of the published model."""

LAYERS, WIDTH, HEADS = 6, 384, 12

WINDOW = 256
"""The most tokens that the model takes, its two marks included."""

VERSION = 1
"""Raised when our graph computes something else: graphs that were kept are then not used, nor what they made."""
