import inspect
from collections import Counter

import pytest

from benchmarks.registry import BENCHMARKS, OPTIONS, Benchmark, named


def test_names_are_given_once() -> None:
    assert max(Counter(row.name for row in BENCHMARKS).values()) == 1
    assert named("engine") is not None
    assert named("nonsense") is None


@pytest.mark.parametrize("row", BENCHMARKS, ids=lambda row: row.name)
def test_a_measurement_takes_what_the_table_gives_it(row: Benchmark) -> None:
    assert set(row.options) <= set(OPTIONS)
    parameters = inspect.signature(row.load()).parameters
    assert set(row.options) <= set(parameters)
    required = {name for name, each in parameters.items() if each.default is inspect.Parameter.empty}
    always_given = {"directory", "cache", "seed", "repeats", "handbook"}
    assert required <= set(row.options) & always_given, "what a measurement cannot do without has to be given"


def test_an_option_without_a_value_leaves_the_default_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Benchmark("it", "it:it", "", "", ("seed", "events"))
    monkeypatch.setattr(Benchmark, "load", lambda _: lambda **given: given)
    assert row.run({"seed": 0, "events": None, "accounts": 3}) == {"seed": 0}
