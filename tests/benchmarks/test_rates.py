import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.latency import latencies_ms, percentiles
from benchmarks.pacer import due
from benchmarks.rates import Answers, Sample, count_answers, steady
from benchmarks.rivals import _facts
from features.errors import AssayError


def test_a_steady_client_has_the_rate_it_has() -> None:
    looks = [Sample(wall_s=second / 10, cpu_s=second / 20, records=500 * second) for second in range(100)]
    rates = steady(looks)
    assert rates.per_s == pytest.approx(5_000)
    assert rates.per_cpu_s == pytest.approx(10_000)


def test_a_slow_start_and_an_idle_end_do_not_count() -> None:
    start = [Sample(float(second), float(second), second) for second in range(20)]
    work = [Sample(20 + second / 10, 20 + second / 10, 100 * second) for second in range(1, 101)]
    idle = [Sample(30 + second / 10, 30 + second / 10, 10_000) for second in range(1, 50)]
    assert steady(start + work + idle).per_s == pytest.approx(1_000)


@pytest.mark.parametrize("looks", [[], [Sample(0.0, 0.0, 9)], [Sample(n / 100, n / 100, n) for n in range(5)]])
def test_what_is_over_too_soon_is_no_measurement(looks: list[Sample]) -> None:
    with pytest.raises(AssayError, match="too quickly"):
        steady(looks)


def test_answers_are_counted_as_far_as_the_client_came() -> None:
    asked = [[b"a", b"b", b"c", b"d"], [b"e", b"f"]]
    assert count_answers(asked, [b"a", b"b"]) == Answers(2, 0, 0)
    assert count_answers(asked, [b"b", b"e", b"e"]) == Answers(2, 1, 1)
    assert count_answers(asked, [b"d"]) == Answers(1, 0, 3)
    assert count_answers(asked, []) == Answers(0, 0, 0)


@given(rate=st.floats(0.1, 1e6), count=st.integers(1, 10_000))
def test_an_event_is_due_from_its_moment_on(rate: float, count: int) -> None:
    assert due(5.0, 5.0, rate) == 1
    assert due(np.nextafter(5.0, 0.0), 5.0, rate) == 0
    assert abs(due(5.0 + (count - 1) / rate, 5.0, rate) - count) <= 1, "but for the rounding of the moment itself"
    moments = [5.0 + number / rate / 3 for number in range(50)]
    counts = [due(moment, 5.0, rate) for moment in moments]
    assert counts == sorted(counts)


@given(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=300))
def test_a_percentile_covers_its_share(values: list[float]) -> None:
    found = percentiles(np.array(values))
    for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99), ("p999_ms", 0.999)):
        assert found[name] in values
        assert sum(value <= found[name] for value in values) >= share * len(values)


def test_latency_counts_from_when_an_event_was_due_and_not_from_when_it_was_sent() -> None:
    """Everything stands still for two seconds: each event due meanwhile waited, whenever it was sent."""
    places = {f"{number}".encode(): number for number in range(400)}
    arrivals = [
        (max(10.0 + number / 100, 12.0) + 0.001, b'{"event_id":"%d","type":"payment"}' % number)
        for number in range(400)
    ]
    found = latencies_ms(arrivals, dict(places), 10.0, 100.0, 0.0)
    assert found[0] == pytest.approx(2_001)
    assert found[100] == pytest.approx(1_001)
    assert found[399] == pytest.approx(1)
    assert np.median(found) > 0.9
    assert len(latencies_ms(arrivals, dict(places), 10.0, 100.0, 1.0)) == 300


def test_a_verdict_that_comes_twice_is_no_latency() -> None:
    verdict = (11.0, b'{"event_id":"a"}')
    with pytest.raises(AssayError, match="came twice"):
        latencies_ms([verdict, verdict], {b"a": 0}, 10.0, 1.0, 0.0)


def test_the_ratio_is_to_the_fastest_rival_that_could_be_measured() -> None:
    from benchmarks.passage import Passage
    from benchmarks.rates import Rates

    def done(per_s: float) -> list[Passage]:
        return [Passage(Rates(per_s, 2 * per_s), Answers(1, 0, 0), [])]

    passages = {"ceiling": done(100.0), "assay": done(50.0), "plain_batched": done(5.0), "quix": done(4.0), "faust": []}
    facts = _facts(passages, {"faust": "no"})
    assert facts["best_peer"] == "plain_batched"
    assert facts["ratio"] == 10.0
    assert facts["share_of_ceiling"] == 0.5
    assert set(facts["contestants"]) == {"ceiling", "assay", "plain_batched", "quix"}
    nobody = _facts({name: passages[name] for name in ("ceiling", "assay")}, {"quix": "no"})
    assert nobody["ratio"] is None, "what was not measured is not invented"
