"""Formats that the user fixed, checked against the network's tensors."""

from collections.abc import Mapping

from quantizer.errors import InputError, nearest
from quantizer.fixedpoint.qformat import QFormat
from quantizer.format_classes import FormatClasses, find_format_classes
from quantizer.formats_file import GivenFormat
from quantizer.network.graph import Network
from quantizer.network.layers import WeightedLayer


class GivenFormats:
    """The entries of a formats file, by what they fix.

    Parameters
    ----------
    network
        Whose tensors the entries must name.
    formats
        By tensor name.

    Raises
    ------
    InputError
        An entry names no tensor with a format, or has another number of fraction lengths
        than the tensor has output channels, or makes a constant unsigned.
    """

    def __init__(self, network: Network, formats: Mapping[str, GivenFormat]) -> None:
        known = [*network.shapes, *network.constants]
        per_channel = _constants_per_channel(network)
        for name, fmt in formats.items():
            if name not in known:
                raise InputError(
                    fmt.where,
                    "the network has no such tensor with a format of its own"
                    f"{nearest(name, known)}",
                )
            if name in network.constants:
                _check_constant(fmt, per_channel.get(name))
            elif len(fmt.frac_bits) != 1:
                raise InputError(
                    fmt.where, "frac_bits: a feature map has one fraction length, got a list"
                )
        sources = find_format_classes(network, ()).sources
        self._formats = formats
        self._maps = [name for name in formats if name in network.shapes]
        self.pinned = {sources[name] for name in self._maps}

    def constant(self, name: str) -> GivenFormat | None:
        """Give the entry of a constant."""
        return self._formats.get(name)

    def maps(self, classes: FormatClasses) -> dict[str, QFormat]:
        """Collect the formats given to sources, or to maps that inherit from them.

        Raises
        ------
        InputError
            Two maps that share one format are given different ones.
        """
        maps: dict[str, QFormat] = {}
        first: dict[str, str] = {}
        for name in self._maps:
            fmt = self._formats[name]
            source = classes.sources[name]
            value = QFormat(bits=fmt.bits, frac_bits=fmt.frac_bits[0], signed=fmt.signed)
            if maps.setdefault(source, value) != value:
                raise InputError(
                    fmt.where,
                    f"is {value}, but {first[source]!r} is {maps[source]}; "
                    "the two share one format",
                )
            first.setdefault(source, name)
        return maps


def _constants_per_channel(network: Network) -> dict[str, int]:
    """Output channels of the constants that may have a fraction length for each: by name."""
    return {
        name: network.constants[name].shape[0]
        for layer in network.layers
        if isinstance(layer, WeightedLayer)
        for name in (layer.weights, layer.bias)
        if name is not None
    }


def _check_constant(fmt: GivenFormat, channels: int | None) -> None:
    if not fmt.signed:
        raise InputError(fmt.where, "signed: constants are signed, got false")
    if channels is None:
        if len(fmt.frac_bits) > 1:
            raise InputError(
                fmt.where,
                "frac_bits: slopes and constants that are added or multiplied have one "
                f"fraction length, got {len(fmt.frac_bits)}",
            )
    elif len(fmt.frac_bits) not in (1, channels):
        raise InputError(
            fmt.where,
            f"frac_bits: expected one integer or {channels}, one per output channel; "
            f"got {len(fmt.frac_bits)}",
        )
