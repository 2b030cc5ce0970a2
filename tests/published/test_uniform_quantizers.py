"""Are the optimum uniform quantizers those of the tables in print?

Gaussian: J. Max, "Quantizing for minimum distortion", IRE Trans. Inf. Theory 6(1), 1960,
table 2 (equally spaced levels), for 2, 4, ..., 16 and 32 levels. Laplacian: the same columns
as printed in K. Sayood, "Introduction to Data Compression", chapter on scalar quantization,
which cuts its digits off. Gamma, and all to 8 bits: M. D. Paez and T. H. Glisson, "Minimum
mean-squared-error quantization in speech PCM and DPCM systems", IEEE Trans. Commun. 20(2),
1972, with the SNR of N. S. Jayant and P. Noll, "Digital Coding of Waveforms", 1984; theirs
were not seen in print, only quoted.

D. Lin, S. Talathi, S. Annapureddy, "Fixed point quantization of deep convolutional networks",
ICML 2016, takes its steps from these tables; its own was not to be had. A program by one of
its authors holds the Gaussian column to three digits.
"""

import math

import pytest

from quantizer.baselines.lin import Density, unit_step
from quantizer.distortion import distortion
from quantizer.ggd import GeneralizedGamma
from quantizer.grid import Grid
from quantizer.step_size import exact_optimum_step
from tests.golden_steps import symmetric_sides
from tests.oracles.midrise_quantizer import gamma, gaussian, laplacian, optimum

MAX = {
    2: 1.596, 4: 0.9957, 6: 0.7334, 8: 0.5860, 10: 0.4908, 12: 0.4238, 14: 0.3739, 16: 0.3352,
    32: 0.1881,
}  # fmt: skip
MAX_DISTORTION = {2: 0.3634, 4: 0.1188, 8: 0.03744, 16: 0.01154}
SAYOOD_LAPLACIAN = {
    2: 1.414, 4: 1.0873, 6: 0.8707, 8: 0.7309, 10: 0.6334, 12: 0.5613, 14: 0.5055, 16: 0.4609,
    32: 0.2799,
}  # fmt: skip
PAEZ_GLISSON_GAMMA = {2: 1.1547, 4: 1.0660, 8: 0.7957, 16: 0.5400, 32: 0.3459}
SNR_dB = {
    Density.GAUSSIAN: (4.40, 9.25, 14.27, 19.38, 24.57, 29.83, 35.17, 40.57),
    Density.LAPLACIAN: (3.01, 7.07, 11.44, 15.96, 20.60, 25.36, 30.23, 35.21),
    Density.GAMMA: (1.76, 4.95, 8.78, 13.00, 17.49, 22.17, 27.00, 31.95),
}
TALATHI = (1.596, 0.996, 0.586, 0.335, 0.188, 0.104, 0.057, 0.031)

ORACLE = {Density.GAUSSIAN: gaussian, Density.LAPLACIAN: laplacian, Density.GAMMA: gamma}


def rounded(value: float, printed: float) -> bool:
    """Whether a value rounds to what is printed, to four significant digits."""
    return math.isclose(value, printed, abs_tol=0.51 * 10 ** (math.floor(math.log10(printed)) - 3))


def test_the_oracle_finds_the_quantizers_of_max():
    for levels, step in MAX.items():
        assert rounded(optimum(gaussian, levels).step, step), levels
    for levels, error in MAX_DISTORTION.items():
        assert rounded(optimum(gaussian, levels).distortion, error), levels


def test_the_oracle_finds_the_laplacian_quantizers():
    for levels, step in SAYOOD_LAPLACIAN.items():
        digits = 3 if step > 1.4 else 4
        assert math.floor(optimum(laplacian, levels).step * 10**digits) / 10**digits == step


def test_the_oracle_finds_the_gamma_quantizers():
    for levels, step in PAEZ_GLISSON_GAMMA.items():
        # One more digit above 1 than four.
        assert optimum(gamma, levels).step == pytest.approx(step, abs=0.51e-4), levels


@pytest.mark.parametrize("density", Density)
def test_the_table_of_lin_is_that_of_the_published_quantizers(density):
    printed = {
        Density.GAUSSIAN: MAX,
        Density.LAPLACIAN: SAYOOD_LAPLACIAN,
        Density.GAMMA: PAEZ_GLISSON_GAMMA,
    }[density]
    for bits in range(1, 6):
        # Some tables round, some cut off: within one unit of their last digit.
        assert unit_step(density, bits) == pytest.approx(
            printed[2**bits], abs=1e-3 if bits == 1 else 1e-4
        )


def test_the_table_of_lin_is_that_of_its_authors_program():
    for bits, step in enumerate(TALATHI, start=1):
        assert round(unit_step(Density.GAUSSIAN, bits), 3) == step


@pytest.mark.parametrize("density", Density)
def test_the_signal_to_noise_ratios_are_the_published_ones(density):
    for bits, expected in enumerate(SNR_dB[density], start=1):
        found = -10 * math.log10(optimum(ORACLE[density], 2**bits).distortion)
        assert found == pytest.approx(expected, abs=0.0051)


def check_six_digits(density: Density, bits: int) -> None:
    step = optimum(ORACLE[density], 2**bits).step
    assert f"{unit_step(density, bits):.6g}" == f"{step:.6g}"


@pytest.mark.parametrize("bits", range(1, 11))
@pytest.mark.parametrize("density", Density)
def test_the_table_of_lin_has_six_digits(density, bits):
    check_six_digits(density, bits)


@pytest.mark.slow  # 20 s
@pytest.mark.parametrize("bits", range(11, 18))
@pytest.mark.parametrize("density", Density)
def test_the_table_of_lin_has_six_digits_for_wide_grids(density, bits):
    check_six_digits(density, bits)


def test_three_levels_of_max_are_the_restricted_grid_of_two_bits():
    # An odd row of table 2, with a level at zero: +-1.224, error 0.1902.
    half_normal = GeneralizedGamma(k=0.5, p=2.0, scale=math.sqrt(2))
    sides = symmetric_sides(half_normal, Grid.RESTRICTED, 2)
    step = exact_optimum_step(sides)
    assert rounded(step, 1.224)
    assert rounded(distortion(sides, step), 0.1902)
