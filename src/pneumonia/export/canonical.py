"""An ONNX graph in one form: names, order and constants follow from what is computed, whoever wrote it and whatever he wrote before.

tf2onnx numbers what it makes, in the order of Python's sets, which differs from process to process. Here every value is needed by
another or by an output: they are named and sorted in the order of that need, from the first output on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

Graph = Any  # onnx.GraphProto
Node = Any  # onnx.NodeProto
Tensors = Mapping[str, Any]  # name -> onnx.TensorProto


def canonical(model: Any) -> Any:
    """The same model in one form. Inputs and outputs keep their names; equal constants of one graph become one.

    Arguments:
        model: onnx.ModelProto; stays as it is.
    """
    import onnx

    numbers = count()
    graph = _renamed(model.graph, {}, {}, numbers, outermost=True)
    imports = sorted(model.opset_import, key=lambda opset: str(opset.domain))
    return onnx.helper.make_model(graph, opset_imports=imports, ir_version=model.ir_version)


def _renamed(
    graph: Graph, outer: Mapping[str, str], known: Tensors, numbers: Iterator[int], *, outermost: bool
) -> Graph:
    """A graph with its own names; those of the graphs around it are in `outer`, and their constants, `known`, are made its own."""
    import onnx

    constants = {**known, **_constants(graph)}
    nodes, needed = _sorted(graph)
    names, kept, held = dict(outer), {}, {}
    for value in graph.input:
        names[value.name] = value.name if outermost else f"v{next(numbers)}"
    direct = {name for node in nodes for name in node.input} | {value.name for value in graph.output}
    for name in needed:
        if name in constants and name in direct:  # a graph inside has its own
            values = onnx.numpy_helper.to_array(constants[name])
            content = (str(values.dtype), values.shape, values.tobytes())
            if content not in held:
                held[content] = f"v{next(numbers)}"
                kept[held[content]] = onnx.numpy_helper.from_array(values, held[content])
            names[name] = held[content]
    made = {value.name for value in graph.output} if outermost else set()
    for node in nodes:
        names |= {name: name if name in made else f"v{next(numbers)}" for name in node.output if name}
    inside = [_node(node, names, constants, numbers) for node in nodes]
    takes, gives = ([_value(value, names) for value in values] for values in (graph.input, graph.output))
    return onnx.helper.make_graph(inside, "graph", takes, gives, list(kept.values()))


def _node(node: Node, names: Mapping[str, str], constants: Tensors, numbers: Iterator[int]) -> Node:
    import onnx

    new = onnx.NodeProto(op_type=node.op_type, domain=node.domain)
    new.input.extend(names.get(name, name) for name in node.input)
    new.output.extend(names.get(name, name) for name in node.output)
    for attribute in sorted(node.attribute, key=lambda own: str(own.name)):
        own = new.attribute.add()
        own.CopyFrom(attribute)
        if attribute.HasField("g"):
            own.g.CopyFrom(_renamed(attribute.g, names, constants, numbers, outermost=False))
    return new


def _value(value: Any, names: Mapping[str, str]) -> Any:
    import onnx

    new = onnx.ValueInfoProto()
    new.CopyFrom(value)
    new.name = names[value.name]
    return new


def _sorted(graph: Graph) -> tuple[list[Node], list[str]]:
    """The nodes that an output needs, each after those that it needs; and constants and names of graphs around, by first need."""
    made_by = {name: node for node in graph.node for name in node.output if name}
    given = {value.name for value in graph.input}
    nodes: list[Node] = []
    needed: dict[str, None] = {}
    done: set[int] = set()
    todo = [(value.name, False) for value in reversed(graph.output)]
    while todo:
        name, ready = todo.pop()
        node = made_by.get(name)
        if node is None:
            if name and name not in given:
                needed.setdefault(name)
        elif ready:
            if id(node) not in done:
                done.add(id(node))
                nodes.append(node)
        elif id(node) not in done:
            around = [other for own in node.attribute if own.HasField("g") for other in _around(own.g)]
            todo.append((name, True))
            todo += [(other, False) for other in reversed([*node.input, *around])]
    return nodes, list(needed)


def _around(graph: Graph) -> list[str]:
    """What a graph inside a node takes from the graphs around it."""
    own = _constants(graph)
    return [name for name in _sorted(graph)[1] if name not in own]


def _constants(graph: Graph) -> dict[str, Any]:
    return {tensor.name: tensor for tensor in graph.initializer}
