"""The frozen steps of the rivals, and how they were frozen.

``python -m tests.step_rules.frozen`` computes them anew, by the oracles alone, and prints the
file. No package under test has a part in it.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.oracles import rival_steps
from tests.oracles.midrise_quantizer import gamma, gaussian, laplacian
from tests.oracles.sample_statistics import finest_exponent
from tests.step_rules.arrays import NAMES, samples

FILE = Path(__file__).with_name("frozen_steps.csv")
WIDTHS = (3, 4, 6, 8, 12)
KL_BINS = 2048

Oracle = Callable[[Sequence[float], int, bool], float]


def _tensorrt_kl(values: Sequence[float], bits: int, is_signed: bool) -> float:
    return rival_steps.tensorrt_kl(values, bits, is_signed, finest_exponent(values, KL_BINS))


ORACLES: tuple[tuple[str, Oracle], ...] = (
    ("max_range", rival_steps.max_range),
    ("min_max", rival_steps.min_max),
    ("percentile_99_9", partial(rival_steps.percentile, fraction=0.999)),
    ("percentile_99_99", partial(rival_steps.percentile, fraction=0.9999)),
    ("lin_gaussian", partial(rival_steps.lin, density=gaussian)),
    ("lin_laplacian", partial(rival_steps.lin, density=laplacian)),
    ("lin_gamma", partial(rival_steps.lin, density=gamma)),
    ("aciq_laplace", rival_steps.aciq_laplace),
    ("aciq_gauss", rival_steps.aciq_gauss),
    ("tensorrt_kl", _tensorrt_kl),
    ("octav", rival_steps.octav),
    ("mse", rival_steps.mse),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One array on one grid."""

    array: str
    is_signed: bool
    bits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenStep:
    case: Case
    rule: str
    step: float


def cases() -> Iterator[Case]:
    """All arrays on a signed grid, and on an unsigned one those without negative samples."""
    for array in NAMES:
        has_sign = min(samples(array)) < 0
        for is_signed in (True,) if has_sign else (False, True):
            for bits in WIDTHS:
                yield Case(array=array, is_signed=is_signed, bits=bits)


def read_frozen_steps() -> list[FrozenStep]:
    lines = FILE.read_text().splitlines()
    return [
        FrozenStep(
            case=Case(array=row["array"], is_signed=row["grid"] == "signed", bits=int(row["bits"])),
            rule=rule,
            step=float(row[rule]),
        )
        for row in csv.DictReader(line for line in lines if not line.startswith("#"))
        for rule, _ in ORACLES
    ]


def _print_file() -> None:
    print("# Steps of the published rules on the arrays of tests/step_rules/arrays.py, by the")
    print("# oracles of tests/oracles/rival_steps.py; nine digits. tensorrt_kl: on at most 2048")
    print("# bins of a power of two. mse: the best of 64 steps an octave.")
    print("array,grid,bits," + ",".join(rule for rule, _ in ORACLES))
    for case in cases():
        values = samples(case.array)
        steps = [oracle(values, case.bits, case.is_signed) for _, oracle in ORACLES]
        grid = "signed" if case.is_signed else "unsigned"
        print(f"{case.array},{grid},{case.bits}," + ",".join(f"{step:.9g}" for step in steps))


if __name__ == "__main__":
    _print_file()
