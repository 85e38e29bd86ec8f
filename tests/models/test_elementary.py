"""Our exp, log and log1p against the exact value."""

import math
from decimal import Decimal, localcontext

from hypothesis import given, settings
from hypothesis import strategies as st

from models.elementary import exp, log, log1p


def units_apart(got, exact):
    return abs(Decimal(got) - exact) / Decimal(math.ulp(float(exact)))


@settings(deadline=None)
@given(st.floats(-700, 700))
def test_exp_is_exact_to_the_last_bits(x):
    with localcontext() as context:
        context.prec = 60
        assert units_apart(exp(x), Decimal(x).exp()) <= 2


@settings(deadline=None)
@given(st.floats(0, 1))
def test_log1p_is_exact_to_the_last_bits(x):
    with localcontext() as context:
        context.prec = 400  # 1 + x has to keep the smallest x
        assert units_apart(log1p(x), (1 + Decimal(x)).ln()) <= 3


@settings(deadline=None)
@given(st.one_of(st.floats(1e-300, 1e300), st.floats(0.4, 2.5)))
def test_log_is_exact_to_the_last_bits(x):
    with localcontext() as context:
        context.prec = 60
        assert x == 1.0 or units_apart(log(x), Decimal(x).ln()) <= 3
        assert log(1.0) == 0.0


@settings(deadline=None)
@given(st.floats(-700, 700), st.floats(0, 1))
def test_compiled_code_does_what_is_written(x, y):
    """No fused multiply-add and no other order: the interpreter's IEEE arithmetic gives the same bits."""
    assert exp(x).hex() == exp.py_func(x).hex()
    assert log1p(y).hex() == log1p.py_func(y).hex()
    assert log(y + 1e-300).hex() == log.py_func(y + 1e-300).hex()
