"""all-MiniLM-L6-v2 on onnxruntime: one text in, one vector out, the same bits every time.

Texts are never padded and never share a batch. A matrix product's last bits may depend on its shape, and so would a
text's vector on its neighbours in a batch: a replay would make other hashes. Alone, on one thread, a text is always
the same computation. Speed comes from several texts on several threads instead, which is no slower on few cores.
Another processor may still round otherwise: what was made stays in the cache, and audits allow for it.
"""

from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from tokenizers import Tokenizer

from enrichers.embed.architecture import VERSION, WINDOW
from enrichers.embed.chunks import MOST_CHARACTERS, chunks, joined, numbers, pooled
from enrichers.embed.kept import ensure
from enrichers.embed.weights import TOKENIZER, checked


class MiniLM:
    """The loaded model. ``embed`` may be called from several threads."""

    def __init__(self, model: Path, folder: Path) -> None:
        """Raises `Misconfigured` where the files in ``model`` are not the published ones."""
        self._tokenizer = Tokenizer.from_file(str(checked(model, TOKENIZER)))
        # The file asks for 128 tokens, filled up; the published model takes 256, and we cut and fill nothing.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        ids = self._tokenizer.get_vocab()
        self._first, self._last = ids["[CLS]"], ids["[SEP]"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_mem_pattern = False  # it would keep a plan of memory for every length
        options.log_severity_level = 3
        path = ensure(model, folder, VERSION)
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def embed(self, text: str) -> tuple[list[float] | None, int]:
        """The vector of ``text``, and how many tokens it has; no vector where it has none.

        A text beyond the model's 256 tokens is cut into windows, and its vector is the mean of theirs, weighted by
        their lengths: where the published model would forget what comes after the first window, this one does not.
        """
        readable = text[:MOST_CHARACTERS].encode("utf-8", "replace").decode()
        tokens = self._tokenizer.encode(readable, add_special_tokens=False).ids
        pieces = []
        for ids in chunks(tokens, WINDOW, self._first, self._last):
            (hidden,) = self._session.run(["hidden"], {"ids": np.array([ids], np.int64)})
            pieces.append((pooled(hidden[0]), len(ids) - 2))
        return (numbers(joined(pieces)) if pieces else None), len(tokens)
