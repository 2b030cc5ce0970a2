"""One operator in one form, and what the import should make of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from quantizer.network.layers import Layer
from tests.network.onnx_models import node

IMAGE = (3, 8, 8)
ROW = (3, 9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A small network from ``x`` to ``y``, and the opsets in which it means the same."""

    nodes: Sequence[NodeProto]
    becomes: Sequence[type[Layer]]
    constants: Mapping[str, Any] = field(default_factory=dict)
    dims: tuple[int, ...] = IMAGE
    since: int = 11
    until: int = 99


@dataclass(frozen=True, slots=True)
class Cases:
    """Cases by name."""

    by_name: dict[str, Case] = field(default_factory=dict)

    def add(
        self,
        name: str,
        nodes: Sequence[NodeProto],
        becomes: type[Layer] | Sequence[type[Layer]],
        constants: Mapping[str, Any] | None = None,
        dims: tuple[int, ...] = IMAGE,
        *,
        since: int = 11,
        until: int = 99,
    ) -> None:
        assert name not in self.by_name
        self.by_name[name] = Case(
            nodes=nodes,
            becomes=becomes if isinstance(becomes, Sequence) else [becomes],
            constants=constants or {},
            dims=dims,
            since=since,
            until=until,
        )


def one(op: str, *inputs: str, **attributes: Any) -> list[NodeProto]:
    return [node(op, ["x", *inputs], "y", **attributes)]


def drawn(*shape: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng((seed, *shape)).normal(size=shape)


def positive(*shape: int) -> NDArray[np.float64]:
    return np.random.default_rng(shape).uniform(0.5, 2, shape)
