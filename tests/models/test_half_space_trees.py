"""The compiled half-space trees score as River's do, to the last bit, however rows arrive and across restarts."""

import math
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import river.checks
import river.datasets
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from river.anomaly import HalfSpaceTrees as RiverTrees

from features.errors import AssayError
from models import half_space_kernels
from models.half_space_kernels import score_and_learn
from models.half_space_trees import HalfSpaceTrees, _grown_from
from tests.models.half_space import NAMES, Row, as_dicts, random_rows, scored_one_by_one


@pytest.mark.parametrize("missing", [0.0, 0.15])
@pytest.mark.parametrize(
    "parameters",
    [
        {"n_trees": 5, "height": 4, "window_size": 50, "seed": 1},
        {"n_trees": 10, "height": 6, "window_size": 25, "seed": 2},
        {"n_trees": 3, "height": 10, "window_size": 50, "seed": 3},
        {"n_trees": 25, "height": 8, "window_size": 50, "seed": 42},
        {"n_trees": 1, "height": 1, "window_size": 1, "seed": 0},
        {"n_trees": 4, "height": 5, "window_size": 30, "seed": 5, "limits": {"amount": (-1.0, 3.0), "hour": (0, 1)}},
    ],
    ids=str,
)
def test_every_score_equals_that_of_river(parameters: dict[str, Any], missing: float) -> None:
    rows = as_dicts(random_rows(1_100, missing))
    expected = scored_one_by_one(RiverTrees(**parameters), rows)
    assert len(rows) // parameters["window_size"] >= 20
    assert len(set(expected)) > 10 or parameters["height"] == 1
    assert scored_one_by_one(HalfSpaceTrees(**parameters), rows) == expected


values = st.one_of(st.floats(-0.5, 1.5), st.sampled_from([0.0, -0.0, 0.5, 1.0]), st.integers(-1, 2))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.dictionaries(st.sampled_from(NAMES), values, min_size=1), min_size=1, max_size=60),
    learn=st.lists(st.booleans(), min_size=60, max_size=60),
    n_trees=st.integers(1, 4),
    height=st.integers(1, 5),
    window_size=st.integers(1, 12),
    seed=st.integers(0, 2**40),
)
def test_equals_river_whichever_features_a_row_has(
    rows: list[Row], learn: list[bool], n_trees: int, height: int, window_size: int, seed: int
) -> None:
    parameters = {"n_trees": n_trees, "height": height, "window_size": window_size, "seed": seed}
    mask = np.array(learn)
    expected = scored_one_by_one(RiverTrees(**parameters), rows, mask)
    assert scored_one_by_one(HalfSpaceTrees(**parameters), rows, mask) == expected


def test_a_value_on_a_cut_goes_the_way_it_goes_in_river() -> None:
    parameters = {"n_trees": 3, "height": 4, "window_size": 20, "seed": 6}
    grown = RiverTrees(**parameters)
    grown.learn_one({"amount": 0.5})
    cuts = {node.threshold for tree in grown.trees for node in tree.iter_branches()}
    rows = [{"amount": value} for cut in sorted(cuts) for value in (cut, math.nextafter(cut, 0.0))]
    expected = scored_one_by_one(RiverTrees(**parameters), rows)
    assert scored_one_by_one(HalfSpaceTrees(**parameters), rows) == expected


def test_a_matrix_equals_river_in_any_order_of_columns() -> None:
    rows = random_rows(700, missing=0.1)
    shuffled = ("merchant", "amount", "hour", "device", "country")
    expected = scored_one_by_one(RiverTrees(8, 6, 30, seed=9), as_dicts(rows))
    columns = [NAMES.index(name) for name in shuffled]
    model = HalfSpaceTrees(8, 6, 30, seed=9, features=shuffled)
    assert model.score_learn_many(rows[:, columns]).tolist() == expected


def test_a_matrix_equals_river_when_only_some_rows_are_learnt() -> None:
    rows, learn = random_rows(600, missing=0.1), np.random.default_rng(3).random(600) < 0.7
    learn[0] = True
    expected = scored_one_by_one(RiverTrees(8, 6, 20, seed=9), as_dicts(rows), learn)
    model = HalfSpaceTrees(8, 6, 20, seed=9, features=NAMES)
    assert model.score_learn_many(rows, learn).tolist() == expected


def stretches(lengths: list[int], seed: int = 3) -> NDArray[np.float64]:
    """Rows without gaps, then rows with gaps, and so on: both ways of walking, and what they leave to each other."""
    rows = [
        random_rows(length, missing=0.3 * (number % 2), seed=seed + number) for number, length in enumerate(lengths)
    ]
    return np.concatenate(rows)


@pytest.mark.parametrize("missing", [0.0, 0.15])
@pytest.mark.parametrize(("window_size", "windows"), [(100, 21), (32, 40), (250, 20), (33, 20)])
def test_blocks_of_rows_equal_river_over_many_windows(window_size: int, windows: int, missing: float) -> None:
    rows = random_rows(window_size * windows + 7, missing)
    learn = np.random.default_rng(3).random(len(rows)) < 0.95
    learn[0] = True
    assert learn.sum() // window_size >= 19
    expected = scored_one_by_one(RiverTrees(10, 6, window_size, seed=9), as_dicts(rows), learn)
    model = HalfSpaceTrees(10, 6, window_size, seed=9, features=NAMES)
    assert model.score_learn_many(rows, learn).tolist() == expected


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 150), min_size=1, max_size=5),
    window_size=st.integers(1, 200),
    learnt=st.sampled_from([1.0, 0.6]),
    height=st.integers(1, 6),
)
def test_rows_with_and_without_gaps_in_turn_equal_river(
    lengths: list[int], window_size: int, learnt: float, height: int
) -> None:
    rows = stretches(lengths)
    learn = np.random.default_rng(window_size).random(len(rows)) < learnt
    learn[0] = True
    expected = scored_one_by_one(RiverTrees(3, height, window_size, seed=9), as_dicts(rows), learn)
    model = HalfSpaceTrees(3, height, window_size, seed=9, features=NAMES)
    assert model.score_learn_many(rows, learn).tolist() == expected


def test_inner_nodes_that_lag_behind_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison has two sides: where rows with gaps read stale masses, scores differ from River's."""
    rows = stretches([70, 60, 70, 60, 70])
    expected = scored_one_by_one(RiverTrees(3, 4, 100, seed=9), as_dicts(rows))
    monkeypatch.setattr("models.half_space_trees.score_and_learn", score_and_learn.py_func)  # type: ignore[attr-defined]
    assert HalfSpaceTrees(3, 4, 100, seed=9, features=NAMES).score_learn_many(rows).tolist() == expected
    add_up = half_space_kernels.add_up
    monkeypatch.setattr(half_space_kernels, "add_up", lambda masses: None if masses[:, 0].any() else add_up(masses))
    assert HalfSpaceTrees(3, 4, 100, seed=9, features=NAMES).score_learn_many(rows).tolist() != expected


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 300), max_size=8))
def test_how_rows_are_cut_into_calls_is_no_matter(cuts: list[int]) -> None:
    rows = stretches([90, 70, 100, 40])
    whole = HalfSpaceTrees(6, 5, 40, seed=4, features=NAMES).score_learn_many(rows)
    model = HalfSpaceTrees(6, 5, 40, seed=4, features=NAMES)
    pieces = [model.score_learn_many(piece) for piece in np.split(rows, sorted(cuts))]
    assert np.concatenate(pieces).tolist() == whole.tolist()


def test_one_row_at_a_time_equals_blocks() -> None:
    rows = random_rows(500, missing=0.0)
    whole = HalfSpaceTrees(6, 5, 120, seed=4, features=NAMES).score_learn_many(rows)
    model = HalfSpaceTrees(6, 5, 120, seed=4, features=NAMES)
    assert [model.score_learn_many(row[None])[0] for row in rows] == whole.tolist()


def test_a_matrix_may_follow_rows_learnt_one_by_one() -> None:
    rows = random_rows(200, missing=0.0)
    whole = HalfSpaceTrees(6, 5, 40, seed=4, features=NAMES).score_learn_many(rows).tolist()
    model = HalfSpaceTrees(6, 5, 40, seed=4)
    first = scored_one_by_one(model, as_dicts(rows[:90]))
    assert model.columns == NAMES
    assert first + model.score_learn_many(rows[90:]).tolist() == whole


@pytest.mark.parametrize("gap", [math.nan, math.inf, -math.inf, None])
def test_what_is_not_a_finite_number_is_missing(gap: float | None) -> None:
    rows = as_dicts(random_rows(400, missing=0.2))
    with_gaps = [rows[0]] + [{name: row.get(name, gap) for name in NAMES} for row in rows[1:]]
    parameters = {"n_trees": 6, "height": 5, "window_size": 40, "seed": 4}
    expected = scored_one_by_one(HalfSpaceTrees(**parameters), rows)
    assert scored_one_by_one(HalfSpaceTrees(**parameters), with_gaps) == expected  # type: ignore[arg-type]


def test_river_itself_learns_nan_as_large() -> None:
    """The difference that the class describes: should River change, this test says so."""
    rows = [{"amount": 0.2}] * 20
    river_trees, trees = RiverTrees(3, 3, 10, seed=1), HalfSpaceTrees(3, 3, 10, seed=1)
    scored_one_by_one(river_trees, rows), scored_one_by_one(trees, rows)
    nan = {"amount": math.nan}
    assert river_trees.score_one(nan) == river_trees.score_one({"amount": 1e9}) > trees.score_one(nan)


def test_every_layout_of_a_matrix_runs_the_same_machine_code() -> None:
    rows = np.round(random_rows(100, missing=0.1) * 64) / 64
    expected = HalfSpaceTrees(3, 4, 10, seed=1, features=NAMES).score_learn_many(rows).tolist()
    read_only = rows.copy()
    read_only.flags.writeable = False
    wide = np.repeat(rows, 2, axis=1)
    for form in (np.asfortranarray(rows), read_only, wide[:, ::2], rows.astype(np.float32)):
        model = HalfSpaceTrees(3, 4, 10, seed=1, features=NAMES)
        assert model.score_learn_many(form).tolist() == expected  # type: ignore[arg-type]
    assert len(score_and_learn.signatures) == 1  # type: ignore[attr-defined]


def test_cold_scores_are_zero_as_in_river_or_what_the_caller_says() -> None:
    model = HalfSpaceTrees(3, 4, window_size=10, seed=1, features=NAMES)
    assert not model.is_warm
    assert model.score_one({"amount": 0.5}) == 0.0
    scores = model.score_learn_many(random_rows(11, missing=0.0), cold_score=math.nan)
    assert np.isnan(scores).tolist() == [True] * 10 + [False]
    assert model.is_warm


def test_features_that_no_tree_knows_are_ignored() -> None:
    model = HalfSpaceTrees(3, 4, 10, seed=1)
    scored_one_by_one(model, as_dicts(random_rows(30, missing=0.0)))
    row = {"amount": 0.3, "hour": 0.1}
    assert model.score_one(row | {"later": 1.0}) == model.score_one(row)


@settings(max_examples=25, deadline=None)
@given(stop=st.integers(0, 260))
def test_a_restored_detector_goes_on_with_the_same_bits(stop: int) -> None:
    rows = random_rows(300, missing=0.1)
    model, restored = (HalfSpaceTrees(6, 5, 60, seed=4, features=NAMES) for _ in range(2))
    model.score_learn_many(rows[:stop])
    restored.score_learn_many(rows[100:150])  # what it knew before is forgotten
    restored.restore(model.state())
    assert restored.state() == model.state()
    assert restored.score_learn_many(rows[stop:]).tolist() == model.score_learn_many(rows[stop:]).tolist()
    assert restored.state() == model.state()


@pytest.mark.parametrize("stop", [0, 1, 59, 60, 61, 130])
def test_the_state_brings_the_names_of_the_first_row(stop: int) -> None:
    rows = as_dicts(random_rows(200, missing=0.1))
    model, restored = HalfSpaceTrees(6, 5, 60, seed=4), HalfSpaceTrees(6, 5, 60, seed=4)
    scored_one_by_one(model, rows[:stop])
    restored.restore(model.state())
    assert restored.columns == model.columns == (NAMES if stop else ())
    assert scored_one_by_one(restored, rows[stop:]) == scored_one_by_one(model, rows[stop:])


@pytest.mark.parametrize("window_size", [200, 300, 70_000])
def test_masses_take_the_bytes_that_the_window_needs(window_size: int) -> None:
    model = HalfSpaceTrees(2, 3, window_size, seed=4, features=NAMES)
    model.score_learn_many(random_rows(290, missing=0.0))
    restored = HalfSpaceTrees(2, 3, window_size, seed=4, features=NAMES)
    restored.restore(model.state())
    assert restored.state() == model.state()
    assert len(model.state()) < 150 + 2 * 2 * 8 * (1 if window_size < 256 else 4)


@pytest.mark.parametrize(
    "other",
    [
        {"n_trees": 7},
        {"height": 4},
        {"window_size": 61},
        {"seed": 5},
        {"limits": {"amount": (0.0, 2.0)}},
        {"features": NAMES[::-1]},
        {"features": (*NAMES[:-1], "other")},
        {"features": NAMES[:-1]},
    ],
    ids=str,
)
def test_a_state_of_other_parameters_is_refused(other: dict[str, Any]) -> None:
    parameters: dict[str, Any] = {"n_trees": 6, "height": 5, "window_size": 60, "seed": 4, "features": NAMES}
    rows = random_rows(100, missing=0.0)
    model, stranger = HalfSpaceTrees(**parameters), HalfSpaceTrees(**(parameters | other))
    model.score_learn_many(rows)
    stranger.score_learn_many(rows[:, : len(stranger.columns)])
    before = stranger.state()
    with pytest.raises(AssayError, match="digest"):
        stranger.restore(model.state())
    assert stranger.state() == before


def test_every_damaged_state_is_refused() -> None:
    model = HalfSpaceTrees(2, 2, 5, seed=4, features=NAMES)
    model.score_learn_many(random_rows(8, missing=0.0))
    state = model.state()
    for position in range(len(state)):
        damaged = bytearray(state)
        damaged[position] ^= 0x10
        with pytest.raises(AssayError, match="rebuild it from the log"):
            model.restore(bytes(damaged))
    for size in range(len(state)):
        with pytest.raises(AssayError, match="rebuild it from the log"):
            model.restore(state[:size])
    assert model.state() == state


def test_a_state_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = HalfSpaceTrees(2, 2, 5, seed=4, features=NAMES)
    with monkeypatch.context() as later:
        later.setattr("models.half_space_trees.STATE_VERSION", 2)
        state = model.state()
    with pytest.raises(AssayError, match="expected version 1, got version 2"):
        model.restore(state)


def test_a_state_is_refused_where_the_same_seed_grows_other_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a Python might that draws its random numbers in another way."""
    state = HalfSpaceTrees(1, 1, 5, seed=4, features=("amount",)).state()
    HalfSpaceTrees(1, 1, 5, seed=4, features=("amount",)).restore(state)
    monkeypatch.setattr("models.half_space_growth.PADDING", 0.2)
    _grown_from.cache_clear()
    with pytest.raises(AssayError, match="trees of digest"):
        HalfSpaceTrees(1, 1, 5, seed=4, features=("amount",)).restore(state)
    _grown_from.cache_clear()


def test_a_state_needs_a_seed_and_names_that_are_strings() -> None:
    with pytest.raises(ValueError, match="without a seed"):
        HalfSpaceTrees(features=NAMES).state()
    with pytest.raises(ValueError, match="strings"):
        HalfSpaceTrees(seed=1, features=(1, 2)).state()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_trees": 0}, "n_trees: expected a number >= 1, got 0"),
        ({"height": 0}, "height: expected 1 to 20, got 0"),
        ({"height": 21}, "height: expected 1 to 20, got 21"),
        ({"window_size": 0}, "window_size: expected 1 to"),
        ({"window_size": 2**31}, "window_size: expected 1 to"),
        ({"n_trees": 1_000, "height": 20, "window_size": 2**31 - 1}, "less than 2\\^53"),
        ({"limits": {"a": (1.0, 0.0)}}, "limits of a: expected finite low <= high"),
        ({"limits": {"a": (0.0, math.inf)}}, "limits of a: expected finite low <= high"),
        ({"features": ()}, "one or more distinct names"),
        ({"features": ("a", "a")}, "one or more distinct names"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HalfSpaceTrees(**parameters)


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="names of the columns"):
        HalfSpaceTrees().score_learn_many(np.zeros((1, 2)))
    with pytest.raises(ValueError, match="no features"):
        HalfSpaceTrees().learn_one({})
    model = HalfSpaceTrees(features=("a", "b"))
    with pytest.raises(ValueError, match=r"rows: expected shape \(n, 2\), got \(1, 3\)"):
        model.score_learn_many(np.zeros((1, 3)))
    with pytest.raises(ValueError, match=r"rows: expected shape \(n, 2\), got \(2,\)"):
        model.score_learn_many(np.zeros(2))
    with pytest.raises(ValueError, match=r"learn: expected shape \(1,\), got \(2,\)"):
        model.score_learn_many(np.zeros((1, 2)), np.ones(2, dtype=np.bool_))


class PaymentStream:
    """Stands in for River's credit card file, which its checks would download: 30 features, 2 % planted anomalies."""

    def take(self, count: int) -> Iterator[tuple[Row, int]]:
        random = np.random.default_rng(11)
        anomalous = random.random(count) < 0.02
        rows = np.where(anomalous[:, None], random.random((count, 30)), random.beta(2, 8, (count, 30)))
        for row, label in zip(rows.tolist(), anomalous.tolist(), strict=True):
            yield {f"V{number}": value for number, value in enumerate(row)}, int(label)


@pytest.mark.parametrize("model", [HalfSpaceTrees(), HalfSpaceTrees(seed=3)], ids=["no seed", "seed"])
def test_keeps_the_conventions_of_river(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """River's own checks of an estimator (they pickle it; nothing else here does)."""
    monkeypatch.setattr(river.datasets, "CreditCard", PaymentStream)
    names = set()
    for check in river.checks.yield_checks(model):
        names.add(check.__name__)
        check(model.clone())
    assert {"check_roc_auc", "check_shuffle_features_no_impact", "check_bounded_memory_growth"} <= names


def test_importing_it_loads_no_other_part_of_river() -> None:
    code = """import sys, models.half_space_trees
parts = {name.split(".")[1] for name in sys.modules if name.startswith("river.")}
print(sorted(parts - {"__version__", "base"}))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
