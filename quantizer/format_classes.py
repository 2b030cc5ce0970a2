"""Which feature maps share one format (NUMBERS.md 2 and 3).

A map that a layer makes by moving values *inherits*: it has its source's format. The
inputs of a Concat take the format of its output, so that nothing is computed there; the
rule reaches through what moves values and through further Concats. An input that cannot
share is requantized at the Concat.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from quantizer.network.graph import Network
from quantizer.network.layers import (
    Add,
    AveragePool,
    Concat,
    ElementwiseLayer,
    FunctionKind,
    Layer,
    LocalResponseNorm,
    Lookup,
    MovingLayer,
    Mul,
    Pad,
)

_POSITIVE_FUNCTIONS = frozenset(
    {
        FunctionKind.ABS,
        FunctionKind.EXP,
        FunctionKind.HARD_SIGMOID,
        FunctionKind.SIGMOID,
        FunctionKind.SOFTPLUS,
        FunctionKind.SQRT,
    }
)
"""Functions without negative values, whatever their input."""
_SIGN_KEEPING = MovingLayer | Concat | AveragePool | LocalResponseNorm


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatClasses:
    """A partition of all feature maps into classes of one format.

    Attributes
    ----------
    roots
        For every feature map, the map from whose statistics its format is chosen.
    sources
        For every feature map, the map whose format it inherits, itself if none. Maps of
        one source always have one format.
    """

    roots: Mapping[str, str]
    sources: Mapping[str, str]

    def root(self, tensor: str, given: Collection[str]) -> str:
        """Name the map that decides a format: its source where that is given, else its root."""
        source = self.sources[tensor]
        return source if source in given else self.roots[tensor]


def find_format_classes(network: Network, pinned: Collection[str]) -> FormatClasses:
    """Group feature maps by the rules above, Concats in the order in which they run.

    Parameters
    ----------
    pinned
        Sources whose format is given: they keep it, also at a Concat.
    """
    sources = {network.input: network.input}
    for layer in network.layers:
        inherits = isinstance(layer, MovingLayer)
        sources[layer.ofm] = sources[layer.inputs[0]] if inherits else layer.ofm

    # Maps of one source form a node; `shared` leads from a node to the Concat it joined.
    shared: dict[str, str] = {}

    def root(source: str) -> str:
        while source in shared:
            source = shared[source]
        return source

    for layer in network.layers:
        if isinstance(layer, Concat):
            for name in layer.inputs:
                source = sources[name]
                can_share = source != network.input and source not in pinned
                if can_share and source not in shared:
                    shared[source] = layer.ofm
    return FormatClasses(
        roots={name: root(source) for name, source in sources.items()}, sources=sources
    )


def never_negative(network: Network, input_is_positive: bool) -> set[str]:
    """Find the feature maps that cannot hold a negative value, by the structure alone.

    Parameters
    ----------
    input_is_positive
        Whether the network input may be taken as never negative.
    """
    found = {network.input} if input_is_positive else set()
    for layer in network.layers:
        clamp = getattr(layer, "clamp", None)
        if (clamp is not None and clamp.low >= 0) or _keeps_sign(network, layer, found):
            found.add(layer.ofm)
    return found


def _keeps_sign(network: Network, layer: Layer, positive: Collection[str]) -> bool:
    """Tell whether a layer makes no negative value, given the maps that hold none."""
    match layer:
        case Lookup() if layer.function.kind in _POSITIVE_FUNCTIONS:
            return True
        case Add() if -1 in layer.signs:
            return False
        case Add() | Mul():
            own_is_positive = _constant_is_positive(network, layer)
        case Pad():
            own_is_positive = layer.value >= 0
        case _:
            own_is_positive = isinstance(layer, _SIGN_KEEPING)
    return own_is_positive and all(name in positive for name in layer.inputs)


def _constant_is_positive(network: Network, layer: ElementwiseLayer) -> bool:
    return layer.constant is None or bool((network.constants[layer.constant] >= 0).all())
