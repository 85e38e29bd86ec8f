"""Training: the same inputs give the same bytes, the future stays unseen, and the scores are worth something."""

from itertools import pairwise

import numpy as np
import pytest
from lightgbm import Booster
from sklearn.metrics import average_precision_score, roc_auc_score

from features.catalogue import FEATURES
from models.detector import check_inputs
from models.evaluation import calibration_error
from models.training import LEAST_OF_EACH, LEAST_ROUNDS, MOST_ROUNDS, detector_inputs, time_blocks, train
from tests.models.labelled import labelled_rows

ROWS = labelled_rows()


def trained(rows=ROWS, **changes):
    arguments = {"feature_set": FEATURES, "seed": 3, "rounds": 60, **changes}
    return train(rows.features, rows.labels, rows.time_ms, **arguments)


@pytest.fixture(scope="module")
def model():
    return trained()


def test_the_same_inputs_give_the_same_bytes(model):
    again = trained()
    assert again.model_text == model.model_text
    assert again.calibration == model.calibration
    assert again.detector == model.detector
    assert again.baselines.tobytes() == model.baselines.tobytes()
    assert again.held_out_score.tobytes() == model.held_out_score.tobytes()


def test_threads_change_no_byte(model):
    with_two = trained(threads=2)
    assert with_two.model_text == model.model_text
    assert with_two.held_out_score.tobytes() == model.held_out_score.tobytes()


def test_another_seed_gives_other_trees(model):
    assert trained(seed=4).model_text != model.model_text


def test_scores_rank_and_mean_what_they_say(model):
    fresh = labelled_rows(20_000, seed=1)
    raw = Booster(model_str=model.model_text).predict(fresh.features, raw_score=True)
    score = model.calibration.apply(raw)
    best = average_precision_score(fresh.labels, fresh.probability)
    assert average_precision_score(fresh.labels, score) > 0.7 * best
    assert roc_auc_score(fresh.labels, score) > 0.8
    assert calibration_error(fresh.labels, score) < 0.2 * fresh.labels.mean()
    assert score.mean() == pytest.approx(fresh.labels.mean(), rel=0.3)


def test_held_out_scores_are_those_of_the_model_that_is_kept(model):
    booster = Booster(model_str=model.model_text)
    assert booster.num_trees() == model.tree_count
    raw = booster.predict(ROWS.features[model.blocks.calibration], raw_score=True)
    assert model.calibration.apply(raw).round(6).tobytes() == model.held_out_score.tobytes()


def test_blocks_follow_each_other_in_time():
    blocks = time_blocks(ROWS.time_ms)
    assert sorted(np.concatenate(blocks).tolist()) == list(range(len(ROWS.time_ms)))
    for earlier, later in pairwise(blocks):
        assert ROWS.time_ms[earlier].max() <= ROWS.time_ms[later].min()
    assert [len(rows) / len(ROWS.time_ms) for rows in blocks] == pytest.approx([0.70, 0.15, 0.15], abs=0.001)


def test_rows_of_the_same_millisecond_keep_their_order():
    same = time_blocks(np.zeros(2_000, dtype=np.int64))
    assert np.concatenate(same).tolist() == list(range(2_000))


def test_the_trees_do_not_see_the_calibration_block(model):
    labels = ROWS.labels.copy()
    later = model.blocks.calibration
    labels[later] = labels[later][::-1]
    features = ROWS.features.copy()
    features[later] *= 2
    changed = train(features, labels, ROWS.time_ms, feature_set=FEATURES, seed=3, rounds=60)
    assert changed.model_text == model.model_text
    assert changed.baselines.tobytes() == model.baselines.tobytes()
    assert changed.detector == model.detector
    assert changed.calibration != model.calibration


def test_the_next_block_says_when_to_stop():
    """Labels without sense in the middle block: no tree makes them better, so training stops early, but not at once."""
    labels = ROWS.labels.copy()
    middle = time_blocks(ROWS.time_ms).stopping
    labels[middle] = np.random.default_rng(0).permutation(labels[middle])
    stopped = train(ROWS.features, labels, ROWS.time_ms, feature_set=FEATURES, seed=3)
    with_sense = train(ROWS.features, ROWS.labels, ROWS.time_ms, feature_set=FEATURES, seed=3)
    assert LEAST_ROUNDS <= stopped.tree_count < MOST_ROUNDS
    assert LEAST_ROUNDS <= with_sense.tree_count < MOST_ROUNDS
    assert stopped.tree_count != with_sense.tree_count


def test_the_number_of_trees_is_the_best_on_the_next_block(model):
    stopping = model.blocks.stopping
    booster = Booster(model_str=trained(rounds=LEAST_ROUNDS + 20).model_text)
    kept = booster.num_trees()
    precision = [
        average_precision_score(ROWS.labels[stopping], booster.predict(ROWS.features[stopping], num_iteration=count))
        for count in range(LEAST_ROUNDS, kept + 1)
    ]
    assert int(np.argmax(precision)) == len(precision) - 1


@pytest.mark.parametrize("rounds", [1, LEAST_ROUNDS - 1, LEAST_ROUNDS])
def test_a_small_limit_of_rounds_is_kept(rounds):
    assert trained(rounds=rounds).tree_count <= rounds


def test_baselines_are_medians_of_legitimate_events(model):
    rows = model.blocks.trees
    legitimate = ROWS.features[rows[ROWS.labels[rows] == 0]]
    for name in ("account_payment_count_1h", "account_amount_to_mean_ratio_30d"):
        values = sorted(value for value in legitimate[:, FEATURES.index[name]].tolist() if value == value)
        middle = (
            values[len(values) // 2]
            if len(values) % 2
            else (values[len(values) // 2 - 1] + values[len(values) // 2]) / 2
        )
        assert model.baselines[FEATURES.index[name]] == middle
    assert np.isnan(model.baselines[FEATURES.index["account_merchant_is_new"]])  # never known
    assert not np.array_equal(legitimate, ROWS.features[rows])


def test_the_detector_reads_what_compares_an_account_with_itself(model):
    names = detector_inputs(FEATURES)
    assert model.detector.names == names
    assert {"account_amount_z_30d", "account_amount_to_mean_ratio_30d", "account_payment_count_ratio_1h_30d"} <= set(
        names
    )
    assert all("count_ratio" in name or "_ratio_" in name or "_z_" in name or "_share_" in name for name in names)
    check_inputs(model.detector)
    rows = model.blocks.trees
    legitimate = ROWS.features[rows[ROWS.labels[rows] == 0], FEATURES.index["account_amount_z_30d"]].astype(np.float64)
    low, high = model.detector.limits[names.index("account_amount_z_30d")]
    assert low == legitimate.min()
    assert high == pytest.approx(1.5 * np.quantile(legitimate, 0.999))


def test_weights_change_the_trees(model):
    weights = np.where(ROWS.amount_minor > 5_000, 3.0, 1.0)
    assert trained(weights=weights).model_text != model.model_text
    assert trained(weights=np.ones(len(ROWS.labels))).tree_count == model.tree_count


def test_downsampled_legitimate_events_give_the_probabilities_of_the_stream():
    rows = labelled_rows(30_000, seed=2)
    kept = (rows.labels == 1) | (np.random.default_rng(0).random(len(rows.labels)) < 0.25)
    sampled = type(rows)(*(column[kept] for column in rows))
    model = trained(sampled, kept_negative_share=0.25)
    fresh = labelled_rows(20_000, seed=1)
    score = model.calibration.apply(Booster(model_str=model.model_text).predict(fresh.features, raw_score=True))
    assert score.mean() == pytest.approx(fresh.labels.mean(), rel=0.2)


def test_each_round_is_told():
    told = []
    model = trained(on_round=told.append)
    assert told == list(range(1, len(told) + 1))
    assert model.tree_count <= len(told) <= 60


@pytest.mark.parametrize("block", ["trees", "stopping", "calibration"])
def test_a_block_with_too_few_frauds_is_refused(block):
    labels = ROWS.labels.copy()
    rows = getattr(time_blocks(ROWS.time_ms), block)
    labels[rows] = 0
    labels[rows[: LEAST_OF_EACH - 1]] = 1
    with pytest.raises(ValueError, match=f"in the {block} block, got 9 and {len(rows) - 9} of {len(rows)}"):
        train(ROWS.features, labels, ROWS.time_ms, feature_set=FEATURES)


def test_a_block_with_too_few_legitimate_events_is_refused():
    with pytest.raises(ValueError, match="got 4200 and 0 of 4200"):
        train(ROWS.features, np.ones_like(ROWS.labels), ROWS.time_ms, feature_set=FEATURES)


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="got 0 and 0 of 0"):
        train(ROWS.features[:0], ROWS.labels[:0], ROWS.time_ms[:0], feature_set=FEATURES)
