"""What an engine counts for telemetry is what it published, however the log is cut."""

from collections import Counter

import orjson
import pytest

from features.store import MemoryStore
from models.summary import Counts
from streams.log import Output
from streams.partition import Partition
from streams.signature import everybody
from tests.streams.logs import mixed_log, records
from tests.streams.small_model import small_model
from tests.streams.test_engine import open_small

LOG = records(mixed_log(1_200, seed=41, model_ids=(small_model(2).id, small_model(1).id, "f" * 64)))


def folded(batch: int, one_in: int = 8) -> list[Output]:
    partition = Partition(3, MemoryStore(), small_model(), open_small, sample_one_in=one_in)
    return [partition.fold(LOG[start : start + batch], everybody) for start in range(0, len(LOG), batch)]


def totals(outputs: list[Output]) -> dict[str, Counts]:
    """Counts of each model."""
    found: dict[str, Counts] = {}
    for output in outputs:
        for model, _, counts in output.counted:
            found[model] = found.get(model, Counts()) + counts
    return found


def test_counts_are_those_of_the_verdicts() -> None:
    outputs = folded(100)
    verdicts = [orjson.loads(record.value) for output in outputs for record in output.verdicts]
    for model, counts in totals(outputs).items():
        mine = [verdict for verdict in verdicts if verdict["model"] == model]
        decisions = Counter(verdict["decision"] for verdict in mine)
        assert dict(zip(("approve", "step_up", "review", "decline"), counts.decisions, strict=True)) == {
            name: decisions[name] for name in ("approve", "step_up", "review", "decline")
        }
        assert counts.score_sum_micro == sum(round(verdict["score"] * 1e6) for verdict in mine)
        assert counts.reasons == dict(Counter(verdict["reasons"][0]["code"] for verdict in mine if verdict["reasons"]))
        assert counts.flags == dict(Counter(flag for verdict in mine for flag in verdict["flags"]))
        assert {"degraded", "late"} & counts.flags.keys()
        features = len(small_model().feature_set)
        assert len(counts.bins) == len(counts.missing) == features
        assert all(
            sum(bins) + missing == counts.sampled for bins, missing in zip(counts.bins, counts.missing, strict=True)
        )
    assert sum(counts.verdicts for counts in totals(outputs).values()) == len(verdicts)
    assert len(totals(outputs)) == 2


@pytest.mark.parametrize("batch", [1, 7, len(LOG)])
def test_the_way_the_log_is_cut_does_not_show(batch: int) -> None:
    assert totals(folded(batch)) == totals(folded(100))


def test_ends_rise_and_the_last_one_is_behind_the_last_judged_event() -> None:
    ends = [end for output in folded(13) for _, end, _ in output.counted]
    assert ends == sorted(ends)
    verdicts = [orjson.loads(record.value) for output in folded(13) for record in output.verdicts]
    assert ends[-1] == verdicts[-1]["at"]["offset"] + 1


def test_nothing_is_counted_unless_somebody_wants_it() -> None:
    assert all(output.counted == [] for output in folded(100, one_in=0))
