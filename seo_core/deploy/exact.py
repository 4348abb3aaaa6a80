"""A deployed file that gives the same answer on every processor, and in a browser.

    seo_core.load("reference", engine="exact").probabilities(pairs)    # the same to six digits, wherever it runs
    in_double(onnx.load("model.onnx"))                                 # the graph that it runs

Products of integers are the same everywhere. What stands between them is computed in floats, and is not: a fused
multiply-add, which WebAssembly lacks, rounds once instead of twice, and sums of products are added in another order.
That changes a last bit, and where a number lies between two of the 8-bit steps, the step, and then the steps after it.
In double precision the last bit is a thousand millionth of a float's, so that all processors round to the same float
and take the same step. The weights stay as they are. It takes two to three times as long, so that it is for checking
one machine against another, and for answers that must not change when the machine does.
"""

from __future__ import annotations

import math

import numpy as np

# erf x = 1 - (a1 t + … + a5 t⁵) exp(-x²), t = 1 / (1 + p x), for x ≥ 0, at most 1.5e-7 off: Abramowitz & Stegun,
# Handbook of Mathematical Functions, 7.1.26. ONNX Runtime has no erf of doubles.
ERF, ERF_P = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429), 0.3275911
TIME_FIRST = (1, 2, 0, 3)  # (T, B, heads, size) -> (B, heads, T, size), as FusedMatMul's transBatch reads it


def in_double(model):
    """A copy of an exported graph that computes in double precision whatever processors round in different ways:
    products of floats, what is added to products of integers, softmax, GELU, and layer norm.

    model: onnx.ModelProto, as `export_onnx` writes it for ONNX Runtime (operators="onnxruntime"), with 8-bit products.
    Raises ValueError for a graph of standard operators, or one without products of integers, where no step can tip.
    """
    from onnx import ModelProto

    copy = ModelProto()
    copy.CopyFrom(model)
    kinds = {node.op_type for node in copy.graph.node}
    if "MatMulIntegerToFloat" not in kinds:
        raise ValueError("the file has no products of integers made for ONNX Runtime, which are what this is for: "
                         "export it in int8 with operators='onnxruntime', or use the engine onnxruntime")
    g = _Doubles()
    for node in list(copy.graph.node):
        getattr(g, node.op_type.lower(), g.as_it_is)(node)
    del copy.graph.node[:]
    copy.graph.node.extend(g.nodes)
    copy.graph.initializer.extend(g.constants.values())
    return copy


class _Doubles:
    """Nodes in the making. A method of an operator's name in lower case writes its node in double precision."""

    def __init__(self):
        from onnx import TensorProto, helper, numpy_helper

        self._make, self._numpy, self._type = helper.make_node, numpy_helper, TensorProto
        self._value, self.nodes, self.constants = helper.get_attribute_value, [], {}

    def __call__(self, op: str, *inputs: str, output: str | None = None, **attributes) -> str:
        name = output or f"exact_{len(self.nodes)}"
        self.nodes.append(self._make(op, list(inputs), [name], name=f"exact_{op}_{len(self.nodes)}", **attributes))
        return name

    def _attributes(self, node) -> dict:
        return {attribute.name: self._value(attribute) for attribute in node.attribute}

    def _number(self, value: float) -> str:
        name = f"exact_{value!r}"
        self.constants.setdefault(name, self._numpy.from_array(np.float64(value), name))
        return name

    def _double(self, name: str) -> str:
        """A weight or a result, in double precision; weights are cast once, when the file is loaded."""
        return self("Cast", name, to=self._type.DOUBLE)

    def _float(self, double: str, node) -> None:
        self("Cast", double, output=node.output[0], to=self._type.FLOAT)

    def as_it_is(self, node) -> None:
        self.nodes.append(node)

    def _same(self, node) -> None:
        """An operator that has a kernel for doubles."""
        doubles = [self._double(name) for name in node.input]
        self._float(self(node.op_type, *doubles, **self._attributes(node)), node)

    softmax = layernormalization = tanh = gemm = _same

    def matmulintegertofloat(self, node) -> None:
        """product · scale + bias: the sum apart, so that it is no fused multiply-add."""
        *inputs, bias = node.input
        product = self(node.op_type, *inputs[:5], domain=node.domain)
        self("Add", product, bias, output=node.output[0])

    def fusedmatmul(self, node) -> None:
        asked, (a, b) = self._attributes(node), map(self._double, node.input)
        a = self("Transpose", a, perm=TIME_FIRST) if asked.pop("transBatchA", 0) else a
        b = self("Transpose", b, perm=TIME_FIRST) if asked.pop("transBatchB", 0) else b
        b = self("Transpose", b, perm=(0, 1, 3, 2)) if asked.pop("transB", 0) else b
        if asked:
            raise ValueError(f"FusedMatMul with {', '.join(asked)} is not written by export_onnx")
        self._float(self("MatMul", a, b), node)

    def gelu(self, node) -> None:
        """x (1 + erf(x / √2)) / 2."""
        x, one = self._double(node.input[0]), self._number(1.0)
        z = self("Mul", x, self._number(math.sqrt(0.5)))
        size = self("Abs", z)
        t = self("Reciprocal", self("Add", one, self("Mul", size, self._number(ERF_P))))
        powers = self._number(0.0)
        for factor in reversed(ERF):
            powers = self("Mul", self("Add", powers, self._number(factor)), t)
        tail = self("Mul", powers, self("Exp", self("Neg", self("Mul", z, z))))
        erf = self("Mul", self("Sign", z), self("Sub", one, tail))
        self._float(self("Mul", self("Mul", x, self._number(0.5)), self("Add", one, erf)), node)
