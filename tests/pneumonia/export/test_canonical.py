"""One computation, however it is written down, is one file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from pneumonia.export.canonical import canonical  # noqa: E402

FLOAT, BOOL = 1, 9


def written(tag: str, *, turned: bool) -> Any:
    """`y = x + 1 + (x * 2 if x > 0 else x * 3)`, with names that end in `tag`. `turned`: the nodes in another order, a constant
    once for all of the graph instead of inside, and a node that nothing needs."""
    helper = onnx.helper

    def name(word: str) -> str:
        return f"{word}{tag}"

    def branch(word: str, factor: float, within: bool) -> Any:
        node = helper.make_node("Mul", ["x", name(word)], [name(f"{word}_out")])
        ends = [helper.make_tensor_value_info(name(f"{word}_out"), FLOAT, [1])]
        own = [helper.make_tensor(name(word), FLOAT, [1], [factor])] if within else []
        return helper.make_graph([node], name("branch"), [], ends, own)

    constants = [
        helper.make_tensor(name("zero"), FLOAT, [1], [0.0]),
        helper.make_tensor(name("one"), FLOAT, [1], [1.0]),
    ]
    if turned:
        constants = [helper.make_tensor(name("two"), FLOAT, [1], [2.0]), *constants[::-1]]
    nodes = [
        helper.make_node("Add", ["x", name("one")], [name("more")], name=name("first")),
        helper.make_node("Greater", ["x", name("zero")], [name("above")]),
        helper.make_node(
            "If",
            [name("above")],
            [name("chosen")],
            then_branch=branch("two", 2.0, within=not turned),
            else_branch=branch("three", 3.0, within=True),
        ),
        helper.make_node("Add", [name("more"), name("chosen")], ["y"]),
    ]
    if turned:
        nodes = [nodes[1], nodes[2], nodes[0], helper.make_node("Neg", ["x"], [name("unused")]), nodes[3]]
    ends = [[helper.make_tensor_value_info(word, FLOAT, [1])] for word in "xy"]
    graph = helper.make_graph(nodes, name("graph"), *ends, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def test_names_order_and_places_of_constants_do_not_matter():
    one, two = canonical(written("_a", turned=False)), canonical(written("__17", turned=True))
    assert one.SerializeToString(deterministic=True) == two.SerializeToString(deterministic=True)
    onnx.checker.check_model(one, full_check=True)
    assert [node.op_type for node in one.graph.node] == ["Add", "Greater", "If", "Add"]
    assert canonical(one) == one


def test_the_answers_stay():
    onnxruntime = pytest.importorskip("onnxruntime")
    model = canonical(written("_a", turned=True))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    answers = [session.run(["y"], {"x": np.array([x], np.float32)})[0].tolist() for x in (5.0, -5.0)]
    assert answers == [[16.0], [-19.0]]  # 5 + 1 + 10; -5 + 1 - 15


def test_another_constant_is_another_file():
    one, two = written("_a", turned=False), written("_a", turned=False)
    two.graph.initializer[1].float_data[0] = 1.5
    assert canonical(one) != canonical(two)
