"""exp, log and log(1 + x) from additions, multiplications and divisions alone: the same bits on every machine.

The C library's and NumPy's versions differ in the last bit between machines and versions (they pick code by CPU).
Published scores are rounded to 6 digits, so that such a difference shows rarely; a replay that has to reproduce a
verdict byte for byte cannot live with rarely. All are within 3 units in the last place of the true value.
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
def log(x: float) -> float:
    """Natural logarithm of x, for a normal x > 0.

    >>> log(1.0)
    0.0
    """
    mantissa, exponent = math.frexp(x)
    if mantissa < 0.7071067811865476:
        mantissa, exponent = 2.0 * mantissa, exponent - 1
    # x = mantissa * 2**exponent with a mantissa around 1, so that nothing cancels near x = 1.
    small = _twice_artanh((mantissa - 1.0) / (mantissa + 1.0))
    return exponent * _LN2_HIGH + (exponent * _LN2_LOW + small)


@compiled
def log1p(x: float) -> float:
    """Natural logarithm of 1 + x, for 0 <= x <= 1.

    >>> log1p(0.0)
    0.0
    """
    return _twice_artanh(x / (2.0 + x))  # ln(1 + x) = 2 * artanh(x / (2 + x))


@compiled
def _twice_artanh(w: float) -> float:
    """2 * artanh(w), for |w| <= 1/3."""
    square = w * w
    total = 0.0
    for term in _ARTANH_TERMS:
        total = total * square + term
    return 2.0 * w * total
