"""How three limits on time combine: between their maximum and their sum."""

from quantizer.fixedpoint.jit import jit


@jit
def power_mean(first: float, second: float, third: float, norm: int) -> float:
    """Return ``(first**norm + second**norm + third**norm)**(1 / norm)``.

    The root by Newton's method, from above, until it falls no more: only additions,
    products and quotients, so that every processor gives the same bits.
    """
    largest: float = max(first, second, third)
    if largest == 0:
        return 0.0
    total = _power(first / largest, norm)
    total += _power(second / largest, norm) + _power(third / largest, norm)
    root: float = 1 + (total - 1) / norm  # never below the root, because powers are convex
    while True:
        power = _power(root, norm - 1)
        closer = root - (root * power - total) / (norm * power)
        if closer >= root:
            return largest * max(root, 1.0)
        root = closer


@jit
def _power(base: float, exponent: int) -> float:
    power = 1.0
    for _ in range(exponent):
        power *= base
    return power
