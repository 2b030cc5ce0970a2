"""How much shorter, or longer, than its elements the code of a feature map is in DRAM."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedMaps:
    """Bits that DRAM moves for each bit of a layer's feature maps; above 1 where codes are longer.

    Partial sums, weights and biases are never coded.
    """

    ifm: Fraction = Fraction(1)
    residual: Fraction = Fraction(1)
    ofm: Fraction = Fraction(1)


AS_THEY_ARE = CodedMaps()
"""What lies in DRAM element by element, and what nobody has measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCounts:
    """Pairs of a run and a level in the codes of a network's feature maps.

    Attributes
    ----------
    by_map
        Over all images, by name of the map; the network's input, which has no code, is not there.
    """

    by_map: Mapping[str, int]
    images: int
