"""The model's ONNX graph, made from its weights: six BERT layers of width 384, from token ids to hidden states.

Architecture: BERT (Devlin et al. 2018) with the sizes of the model's ``config.json``. One text at a time and never
padded, so no attention mask. Pooling is left to the caller: onnxruntime sums a batch of one in another order than a
batch of two.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from enrichers.embed.architecture import HEADS, LAYERS, WIDTH, WINDOW

Weights = Mapping[str, npt.NDArray[np.float32]]
_EPSILON = 1e-12
_OPSET, _IR = 17, 8
_CONTRIB = "com.microsoft"  # onnxruntime's own operators: attention in one step is twice as fast as in nine


def build(weights: Weights) -> bytes:
    """The serialised graph: input ``ids`` (int64, 1 × tokens), output ``hidden`` (float32, 1 × tokens × 384)."""
    graph = _Graph(weights)
    hidden = graph.embeddings("ids")
    for layer in range(LAYERS):
        hidden = graph.layer(f"encoder.layer.{layer}.", hidden)
    graph.nodes.append(helper.make_node("Identity", [hidden], ["hidden"]))
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "all-MiniLM-L6-v2",
            [helper.make_tensor_value_info("ids", TensorProto.INT64, [1, "tokens"])],
            [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, [1, "tokens", WIDTH])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(_CONTRIB, 1)],
        ir_version=_IR,
    )
    return bytes(model.SerializeToString(deterministic=True))


class _Graph:
    """Nodes and constants under names that are numbered as they come, so that equal weights make equal bytes."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def embeddings(self, ids: str) -> str:
        """Words by id and places by number, normalised; every token is of the first kind of two."""
        weights = self.weights
        places = weights["embeddings.position_embeddings.weight"][:WINDOW]
        places = places + weights["embeddings.token_type_embeddings.weight"][0]
        words = self.op("Gather", self.constant(weights["embeddings.word_embeddings.weight"]), ids)
        length = self.op("Shape", ids, start=1)
        placed = self.op("Slice", self.constant(places), self.integers(0), length, self.integers(0))
        return self.norm(self.op("Add", words, placed), "embeddings.LayerNorm")

    def layer(self, name: str, hidden: str) -> str:
        attended = self.linear(self.attention(f"{name}attention.self.", hidden), f"{name}attention.output.dense")
        hidden = self.norm(self.op("Add", attended, hidden), f"{name}attention.output.LayerNorm")
        wide = self.gelu(self.linear(hidden, f"{name}intermediate.dense"))
        narrow = self.linear(wide, f"{name}output.dense")
        return self.norm(self.op("Add", narrow, hidden), f"{name}output.LayerNorm")

    def attention(self, name: str, hidden: str) -> str:
        parts = [f"{name}{part}" for part in ("query", "key", "value")]
        weight = np.concatenate([self.weights[f"{part}.weight"].T for part in parts], axis=1)
        bias = np.concatenate([self.weights[f"{part}.bias"] for part in parts])
        inputs = (hidden, self.constant(weight), self.constant(bias))
        return self.op("Attention", *inputs, domain=_CONTRIB, num_heads=HEADS)

    def linear(self, x: str, name: str) -> str:
        product = self.op("MatMul", x, self.constant(self.weights[f"{name}.weight"].T))
        return self.op("Add", product, self.constant(self.weights[f"{name}.bias"]))

    def norm(self, x: str, name: str) -> str:
        scale, bias = (self.constant(self.weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        return self.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=_EPSILON)

    def gelu(self, x: str) -> str:
        """x/2 · (1 + erf(x/√2))"""
        erf = self.op("Erf", self.op("Div", x, self.number(2**0.5)))
        return self.op("Mul", self.op("Mul", x, self.number(0.5)), self.op("Add", erf, self.number(1.0)))

    def number(self, value: float) -> str:
        return self.constant(np.array(value, np.float32))

    def integers(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def constant(self, array: npt.NDArray[Any]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def op(self, type_: str, *inputs: str, **attributes: Any) -> str:
        name = f"o{len(self.nodes)}"
        self.nodes.append(helper.make_node(type_, list(inputs), [name], **attributes))
        return name
