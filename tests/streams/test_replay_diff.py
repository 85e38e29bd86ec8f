"""A replay against what was published or against another model: what changed, why, and for how much money."""

from collections.abc import Sequence

import msgspec
import numpy as np
import orjson
import pytest

from features.store import MemoryStore
from models.decision import OUTCOMES
from models.policy import Policy
from streams.diff_baselines import Baseline, Refolded
from streams.diff_causes import Causes, KnownModels, moved
from streams.diff_labels import attacks_in_file, attacks_in_log
from streams.log_range import PartitionRange
from streams.partition import Partition
from streams.replay import Comparison, ReplaySummary, replay
from streams.replay_changes import AS_RECORDED, Override
from streams.signature import everybody, nobody
from streams.verdict_diff import ChangedVerdict, Diff
from tests.streams.histories import ListHistory, machine_over
from tests.streams.logs import START_MS, label, mixed_log, payment, records
from tests.streams.replays import Given, decoded, folded, full_log, offset_of, undisturbed
from tests.streams.small_model import small_model
from tests.streams.test_engine import open_small
from tests.streams.test_replay import HARSH

MODELS = [small_model(1), small_model(2)]


def diffed(
    baseline: Baseline, override: Override, log: Sequence = (), start: int = 300
) -> tuple[Diff, list[ChangedVerdict], ReplaySummary]:
    machine = machine_over({0: log or full_log()})
    changes: list[ChangedVerdict] = []
    comparison = Comparison(
        baseline,
        attacks_in_log(machine.history, machine.trusted),
        Causes(KnownModels(open_small, MODELS, [HARSH])),
        changes.append,
    )
    end = machine.history.bounds(0).high
    summary = replay(machine, [PartitionRange(0, start, end)], override, comparison=comparison)
    assert summary.diff is not None
    return summary.diff, changes, summary


def refolded(override: Override) -> Refolded:
    return Refolded(machine_over({0: full_log()}), override)


def test_what_was_published_is_what_comes_out_again() -> None:
    diff, changes, summary = diffed(Given(undisturbed()), AS_RECORDED)
    assert (diff.changed, changes) == (0, [])
    assert diff.equal == summary.verdicts > 500


@pytest.mark.parametrize("place", [0, 17, -1])
def test_one_flipped_digit_is_found(place: int) -> None:
    published = [value for value in undisturbed() if offset_of(value) >= 300]
    verdict = decoded(published[place])
    published[place] = msgspec.json.encode(
        msgspec.structs.replace(verdict, expected_loss_minor=(verdict.expected_loss_minor or 0) + 1)
    )
    diff, (changed,), _ = diffed(Given(published), AS_RECORDED)
    assert (changed.offset, changed.change) == (verdict.at.offset, "other")
    assert [total.expected_loss_minor for total in diff.groups.values()] == [-1]


def test_a_verdict_that_one_side_lacks_is_a_change() -> None:
    published = [value for value in undisturbed() if offset_of(value) >= 300]
    gone = decoded(published.pop(40))
    _, (changed,), _ = diffed(Given(published), AS_RECORDED)
    assert (changed.offset, changed.change, changed.before) == (gone.at.offset, "extra", None)
    assert changed.amount_minor is not None
    log = [record for record in full_log() if record.offset != gone.at.offset]
    _, changes, _ = diffed(Given(undisturbed()), AS_RECORDED, log)
    (missing,) = (changed for changed in changes if changed.change == "missing")
    assert (missing.offset, missing.after, missing.amount_minor) == (gone.at.offset, None, None)


def test_another_model_money_adds_up_and_every_change_has_its_causes() -> None:
    override = Override(small_model(2))
    diff, changes, _ = diffed(Given(undisturbed()), override)
    before = {offset_of(value): decoded(value) for value in undisturbed() if offset_of(value) >= 300}
    after = {value.at.offset: value for value in map(decoded, _replayed(override))}
    assert before.keys() == after.keys()
    assert [changed.offset for changed in changes] == [offset for offset in before if before[offset] != after[offset]]
    change_minor = sum(after[at].expected_loss_minor - before[at].expected_loss_minor for at in before)
    assert sum(total.expected_loss_minor for total in diff.groups.values()) == change_minor
    assert change_minor == diff.expected_loss_after_minor - diff.expected_loss_before_minor
    assert {changed.change for changed in changes} == {"decision", "other"}
    for changed in changes:
        one, other = before[changed.offset], after[changed.offset]
        assert changed.before is not None
        assert changed.after is not None
        assert (changed.before.decision, changed.after.decision) == (one.decision, other.decision)
        assert (changed.before.score, changed.after.score) == (one.score, other.score)
        if changed.change == "other":
            assert (changed.moved, changed.before.threshold, changed.after.threshold) == ([], None, None)
        elif one.model != other.model:
            assert changed.moved


def _replayed(override: Override) -> list[bytes]:
    from tests.streams.replays import replayed

    return replayed(machine_over({0: full_log()}), 300, override=override)[0]


@pytest.mark.parametrize("override", [Override(small_model(2)), Override(None, HARSH)], ids=["model", "policy"])
def test_the_threshold_stands_between_the_two_decisions(override: Override) -> None:
    _, changes, _ = diffed(Given(undisturbed()), override)
    if override.model is None:
        assert [changed.moved for changed in changes if changed.moved] == [], "a policy moves no feature"
    turned = [changed for changed in changes if changed.change == "decision"]
    assert len(turned) > 10
    for changed in turned:
        assert changed.before is not None
        assert changed.after is not None
        stronger = max(OUTCOMES.index(side.decision) for side in (changed.before, changed.after))
        for side in (changed.before, changed.after):
            assert side.threshold is not None
            assert side.score is not None
            assert (OUTCOMES.index(side.decision) >= stronger) == (side.score > side.threshold)


def test_two_models_without_any_published_verdict() -> None:
    _, with_topic, _ = diffed(Given(_replayed(Override(small_model(1)))), Override(small_model(2)))
    diff, changes, _ = diffed(refolded(Override(small_model(1))), Override(small_model(2)))
    assert changes == with_topic
    assert diff.changed == len(changes) > 0
    same, nothing, _ = diffed(refolded(Override(small_model(2))), Override(small_model(2)))
    assert (same.changed, nothing) == (0, [])


def test_the_features_that_moved_are_those_of_the_two_models() -> None:
    """Oracle: contributions of both models on the features that an undisturbed fold keeps."""
    log = records(mixed_log(900, seed=31))
    partition = Partition(0, MemoryStore(), small_model(), open_small, keep_features=True)
    output = partition.fold(log, everybody)
    rows = np.concatenate([part.features for part in output.judged])
    row_of = {offset_of(verdict.value): row for row, verdict in enumerate(output.verdicts)}
    published = [verdict.value for verdict in output.verdicts]
    _, changes, _ = diffed(Given(published), Override(small_model(2)), log, start=0)
    turned = [changed for changed in changes if changed.change == "decision"]
    assert turned
    for changed in turned:
        row = rows[row_of[changed.offset]][None, :]
        one, other = (model.scorer.contributions(row).values[0] for model in MODELS)
        names = small_model().feature_set.names
        assert changed.moved == moved(dict(zip(names, one, strict=True)), dict(zip(names, other, strict=True)))
        furthest = np.abs(other - one).max()
        assert abs(changed.moved[0].after - changed.moved[0].before) == pytest.approx(furthest, rel=1e-4)


def test_without_the_model_the_reasons_speak() -> None:
    published = [value.replace(small_model(1).id[:16].encode(), b"0" * 16) for value in undisturbed()]
    _, changes, _ = diffed(Given(published), Override(small_model(2)))
    told = [changed for changed in changes if changed.change == "decision" and changed.before.model == "0" * 16]
    assert any(changed.moved for changed in told)
    assert all(changed.before.threshold is None for changed in told)


def test_amounts_are_in_the_base_currency() -> None:
    log = records([
        payment(1, "a1", START_MS, amount_minor=500),
        payment(2, "a1", START_MS + 1, amount_minor=1_000, currency="JPY"),
        orjson.dumps({"event_id": "s1", "type": "login", "account_id": "a1", "time_ms": START_MS + 2}),
    ])  # fmt: skip
    diff, changes, _ = diffed(Given(folded(log)), Override(small_model(2)), log, start=0)
    yen = small_model(2).rates.to_base_minor(1_000, "JPY")
    assert [changed.amount_minor for changed in changes] == [500, yen, 0]
    assert sum(total.amount_minor for total in diff.groups.values()) == 500 + yen


def test_the_newest_label_says_what_it_was() -> None:
    log = [payment(number, "a1", START_MS + number) for number in range(4)]
    log += [
        label(10, "p0", "a1", START_MS + 50),
        label(11, "p1", "a1", START_MS + 60, "legit"),
        label(12, "p2", "a1", START_MS + 90, "legit"),
        label(13, "p2", "a1", START_MS + 80),
    ]
    log[-1] = log[-1].replace(b'"card_not_present"', b"null")
    whole = records(log)
    known = attacks_in_log(ListHistory({0: whole}), everybody)(PartitionRange(0, 0, 4))
    assert known == {("p0", "a1"): "card_not_present", ("p1", "a1"): "legit", ("p2", "a1"): "legit"}
    assert attacks_in_log(ListHistory({0: whole}), nobody)(PartitionRange(0, 0, 4)) == {}
    _, changes, _ = diffed(Given(folded(whole)), Override(small_model(2)), whole, start=0)
    assert [changed.attack for changed in changes] == ["card_not_present", "legit", "legit", "unlabelled"]


def test_labels_out_of_a_file(tmp_path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_bytes(label(1, "p7", "a1", START_MS) + b"\n")
    assert attacks_in_file(path)(PartitionRange(0, 0, 1)) == {("p7", "a1"): "card_not_present"}


def test_the_default_policy_is_not_the_harsh_one() -> None:
    """The tests above need two that differ."""
    assert Policy.default().policy_id != HARSH.policy_id
