"""Brute-force optima over 15 distributions, read from the reference data.

Per row: a distribution, a grid, a width, the optimum step, and for each closed form its step
and its loss in dB. Columns f (end-corrected), w1 (Lambert), c (Hui and Neuhoff), b (two
explicit terms), a (leading term). Rows of mid-rise grids are left out: no such grid is here.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from quantizer.distortion import Side
from quantizer.ggd import GeneralizedGamma
from quantizer.grid import Grid

_GRIDS = {
    "utread": Grid.UNSIGNED,
    "stread": Grid.TWOS_COMPLEMENT,
    "rtread": Grid.RESTRICTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenRow:
    name: str
    distribution: GeneralizedGamma
    grid: Grid
    bits: int
    optimum_step: float
    sqnr_dB: float
    steps: dict[str, float]
    losses_dB: dict[str, float]

    @property
    def sides(self) -> list[Side]:
        return symmetric_sides(self.distribution, self.grid, self.bits)


def symmetric_sides(distribution: GeneralizedGamma, grid: Grid, bits: int) -> list[Side]:
    """One side on an unsigned grid; two that mirror each other on the others."""
    levels = [grid.highest(bits)] + ([grid.lowest(bits)] if grid.is_signed else [])
    return [
        Side(share=1 / len(levels), distribution=distribution, levels=outermost)
        for outermost in levels
    ]


def read_golden_rows(reference_data: Path) -> list[GoldenRow]:
    with (reference_data / "references" / "ggd_golden_steps.csv").open() as file:
        return [
            GoldenRow(
                name=row["dist"],
                distribution=GeneralizedGamma(
                    k=float(row["k"]), p=float(row["p"]), scale=float(row["theta"])
                ),
                grid=_GRIDS[row["grid"]],
                bits=int(row["bits"]),
                optimum_step=float(row["opt_step"]),
                sqnr_dB=float(row["sqnr_dB"]),
                steps={form: float(row[f"{form}_step"]) for form in ("a", "b", "c", "w1", "f")},
                losses_dB={form: float(row[f"{form}_dB"]) for form in ("a", "b", "c", "w1", "f")},
            )
            for row in csv.DictReader(file)
            if row["grid"] in _GRIDS
        ]
