"""Summaries of what partitions saw: every published verdict is counted once, whatever is aborted in between."""

from hypothesis import given
from hypothesis import strategies as st

from models.minutes import Minutes
from models.summary import Counts, Summary
from streams.log import Counted
from streams.telemetry import Telemetry, summary_json

MODELS = ("m1", "m2")


def counted(end: int, verdicts: int, model: str = "m1") -> Counted:
    return Counted(model, end, Counts(decisions=(verdicts, 0, 0, 0)))


def test_a_summary_goes_with_the_batch_that_makes_it_due() -> None:
    telemetry = Telemetry(every_s=1.0)
    assert telemetry.add(0, [counted(1, 1)], 1_000, now_s=10.0) == []
    telemetry.published()
    assert telemetry.add(0, [counted(2, 1)], 2_000, now_s=10.9) == []
    telemetry.published()
    (summary,) = telemetry.add(0, [counted(3, 1)], 3_000, now_s=11.0)
    assert (summary.partition, summary.number, summary.time_ms, summary.counts.verdicts) == (0, 3, 3_000, 3)


def test_partitions_wait_by_themselves() -> None:
    telemetry = Telemetry(every_s=1.0)
    telemetry.add(0, [counted(1, 1)], 0, now_s=0.0)
    telemetry.published()
    telemetry.add(1, [counted(1, 1)], 0, now_s=0.9)
    telemetry.published()
    assert len(telemetry.add(0, [counted(2, 1)], 0, now_s=1.0)) == 1
    assert telemetry.add(1, [counted(2, 1)], 0, now_s=1.0) == []


def test_an_aborted_batch_is_not_counted() -> None:
    telemetry = Telemetry(every_s=1.0)
    telemetry.add(0, [counted(5, 100)], 0, now_s=0.0)
    telemetry.aborted()
    telemetry.add(0, [counted(5, 1)], 0, now_s=0.5)
    telemetry.published()
    (summary,) = telemetry.add(0, [counted(6, 1)], 0, now_s=1.5)
    assert summary.counts.verdicts == 2


def test_a_summary_is_of_one_model() -> None:
    telemetry = Telemetry(every_s=1.0)
    telemetry.add(0, [counted(5, 2)], 0, now_s=0.0)
    telemetry.published()
    (summary,) = telemetry.add(0, [counted(7, 1), counted(9, 3, "m2")], 0, now_s=0.1)
    assert (summary.model, summary.number, summary.counts.verdicts) == ("m1", 7, 3)
    telemetry.published()
    (summary,) = telemetry.add(0, [], 0, now_s=5.0)
    assert (summary.model, summary.number, summary.counts.verdicts) == ("m2", 9, 3)


def test_what_a_partition_left_is_not_told_by_whoever_lost_it() -> None:
    telemetry = Telemetry(every_s=1.0)
    telemetry.add(0, [counted(5, 2)], 0, now_s=0.0)
    telemetry.published()
    telemetry.forget([0])
    assert telemetry.add(0, [], 0, now_s=5.0) == []


def test_the_record_says_the_same_every_time() -> None:
    summary = Summary(partition=1, number=2, time_ms=3, model="m", counts=Counts(flags={"late": 1}, reasons={"A": 1}))
    assert summary_json(summary).startswith(
        b'{"type":"summary","schema":1,"partition":1,"number":2,"time_ms":3,"model":"m","counts":{"d'
    )


batches = st.lists(
    st.tuples(
        st.integers(0, 1),  # partition
        st.lists(st.tuples(st.sampled_from(MODELS), st.integers(1, 5)), max_size=3),  # model and verdicts
        st.floats(0.0, 2.0),  # seconds that pass
        st.booleans(),  # whether the batch is published
    ),
    max_size=30,
)


@given(batches)
def test_every_published_verdict_is_told_once(drawn: list[tuple[int, list[tuple[str, int]], float, bool]]) -> None:
    telemetry, told, minutes = Telemetry(every_s=1.0), 0, Minutes()
    published = now_s = 0.0
    ends = [0, 0]
    finale = [(0, [], 10.0, True), (1, [], 10.0, True)]
    for partition, parts, seconds, is_published in [*drawn, *finale]:
        now_s += seconds
        counts, end = [], ends[partition]
        for model, verdicts in parts:
            end += verdicts
            counts.append(counted(end, verdicts, model))
        summaries = telemetry.add(partition, counts, int(now_s * 1000), now_s)
        if not is_published:
            telemetry.aborted()
            continue
        telemetry.published()
        ends[partition] = end
        published += sum(verdicts for _, verdicts in parts)
        for summary in summaries:
            assert minutes.add(summary), "numbers of a partition rise"
            told += summary.counts.verdicts
    assert told == published
