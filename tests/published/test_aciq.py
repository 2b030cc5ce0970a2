"""Are the clipping values those of ACIQ's authors?

R. Banner, Y. Nahshan, D. Soudry, "Post training 4-bit quantization of convolutional networks
for rapid-deployment", NeurIPS 2019. Their program, github.com/submission2019/cnn-quantization,
`pytorch_quantizer/quantization/qtypes/int_quantizer.py`: eight digits in the comments on top,
two decimals in the tables of class IntQuantizer, by width.
"""

import pytest

from quantizer.baselines.aciq import gauss_clipping, laplace_clipping

LAPLACE = (2.83068299, 3.89722946, 5.02864014, 6.20476633, 7.41312622, 8.64561995, 9.89675982)
EXPONENTIAL = (
    3.89722946, 5.02864014, 6.20476633, 7.41312622, 8.64561995, 9.89675982, 11.16268502,
)  # fmt: skip
GAUSS = (1.71063519, 2.15159277, 2.55913646, 2.93620062, 3.28691474, 3.6151146, 3.92403714)

TABLE_LAPLACE = {0: 1.05, 1: 1.86, 2: 2.83, 3: 3.89, 4: 5.03, 5: 6.2, 6: 7.41, 7: 8.64, 8: 9.89}
TABLE_GAUSS = {1: 1.24, 2: 1.71, 3: 2.15, 4: 2.55, 5: 2.93, 6: 3.28, 7: 3.61, 8: 3.92}
TABLE_LAPLACE_POSITIVE = {
    0: 1.86, 1: 2.83, 2: 3.89, 3: 5.02, 4: 6.2, 5: 7.41, 6: 8.64, 7: 9.89, 8: 11.16,
}  # fmt: skip
TABLE_GAUSS_POSITIVE = {1: 1.71, 2: 2.15, 3: 2.55, 4: 2.93, 5: 3.28, 6: 3.61, 7: 3.92, 8: 4.2}

# The authors found them with scipy's minimize_scalar, which stops within 1.5e-8 of the value
# or, where the minimum is flat, some 1e-6 short of it (the Gaussian of 8 bits).
LAPLACE_FOUND, GAUSS_FOUND = 1e-7, 2e-6


def test_laplacian_clipping_values_to_eight_digits():
    for bits, alpha in enumerate(LAPLACE, start=2):
        assert laplace_clipping(bits) == pytest.approx(alpha, abs=LAPLACE_FOUND)


def test_one_sided_clipping_values_are_those_of_one_bit_more():
    for bits, alpha in enumerate(EXPONENTIAL, start=2):
        assert laplace_clipping(bits + 1) == pytest.approx(alpha, abs=LAPLACE_FOUND)


def test_gaussian_clipping_values_to_eight_digits():
    for bits, alpha in enumerate(GAUSS, start=2):
        assert gauss_clipping(bits) == pytest.approx(alpha, abs=GAUSS_FOUND)


@pytest.mark.parametrize(
    ("table", "clipping", "more_bits"),
    [
        (TABLE_LAPLACE, laplace_clipping, 0),
        (TABLE_LAPLACE_POSITIVE, laplace_clipping, 1),
        (TABLE_GAUSS, gauss_clipping, 0),
        (TABLE_GAUSS_POSITIVE, gauss_clipping, 1),
    ],
)
def test_the_tables_of_the_program_to_two_decimals(table, clipping, more_bits):
    for bits, alpha in table.items():
        # Some are rounded, most cut off, the last of the Gaussians to one decimal.
        unit = 0.02 if alpha == 4.2 else 0.01
        assert clipping(bits + more_bits) == pytest.approx(alpha, abs=unit)
