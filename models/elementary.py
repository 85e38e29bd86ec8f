"""exp and log(1 + x) from additions, multiplications and divisions alone: the same bits on every machine.

The C library's and NumPy's versions differ in the last bit between machines and versions (they pick code by CPU).
Published scores are rounded to 6 digits, so that such a difference shows rarely; a replay that has to reproduce a
verdict byte for byte cannot live with rarely. Both are within 3 units in the last place of the true value.
"""

import math

from features.compiled import compiled

_LN2_HIGH = 0.6931471803691238  # ln 2 in two parts; the first has 21 zero bits at its end, so k * it is exact
_LN2_LOW = 1.9082149292705877e-10
_EXP_TERMS = tuple(1.0 / math.factorial(n) for n in range(14, -1, -1))  # the first term left out is below 2**-60
_ARTANH_TERMS = tuple(1.0 / n for n in range(35, 0, -2))


@compiled
def exp(x: float) -> float:
    """e to the power of x, for -700 <= x <= 700.

    >>> exp(0.0)
    1.0
    """
    k = math.floor(x / 0.6931471805599453 + 0.5)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW  # |r| <= ln(2) / 2
    total = 0.0
    for term in _EXP_TERMS:  # Horner's rule
        total = total * r + term
    return math.ldexp(total, int(k))


@compiled
def log1p(x: float) -> float:
    """Natural logarithm of 1 + x, for 0 <= x <= 1.

    >>> log1p(0.0)
    0.0
    """
    w = x / (2.0 + x)  # ln(1 + x) = 2 * artanh(w), and w <= 1/3
    square = w * w
    total = 0.0
    for term in _ARTANH_TERMS:
        total = total * square + term
    return 2.0 * w * total
