"""Which feature maps share one format (NUMBERS.md 2 and 3).

A map that a pool, a change of layout or a clip makes *inherits*: it has its source's
format. The inputs of a Concat take the format of its output, so that nothing is computed
there; the rule reaches through pools, layout changes and further Concats. An input that
cannot share is requantized at the Concat.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from quantizer.network.graph import Network
from quantizer.network.layers import Add, AveragePool, Clip, Concat, Conv, Dense, MaxPool, Reshape

_INHERITING = MaxPool | Reshape | Clip


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
        inherits = isinstance(layer, _INHERITING)
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
        match layer:
            case Conv() | Dense():
                from_inputs = False
            case Add():
                constant_is_positive = layer.constant is None or bool(
                    (network.constants[layer.constant] >= 0).all()
                )
                from_inputs = constant_is_positive and found.issuperset(layer.inputs)
            case AveragePool() | MaxPool() | Reshape() | Concat() | Clip():
                from_inputs = found.issuperset(layer.inputs)
        clamp = getattr(layer, "clamp", None)
        if from_inputs or (clamp is not None and clamp.low >= 0):
            found.add(layer.ofm)
    return found
