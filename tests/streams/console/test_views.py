"""Views: from what the console remembers to what a page shows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.events import Marker
from features.identity import hash64
from features.links import FLUSH, LINK, MARK, VOLUME, Flushes
from models.bins import SCORE_BINS
from models.summary import Counts, Summary
from models.wording import Money
from streams.account_view import PastEvent
from streams.console.charts import HEIGHT, LEFT, RIGHT, TOP, WIDTH, Scale, Series, bars_chart, line_chart, nice_ticks
from streams.console.graph_view import entities_of, graph_view
from streams.console.lag import Lag, LagHistory, Place, Position, Sample
from streams.console.latency import Landed, LatencyBook, latencies, percentile
from streams.console.link_book import LinkBook
from streams.console.picture import Picture
from streams.console.timeline import timeline
from streams.console.view_live import live_view
from streams.console.view_models import LEAST_ROWS, models_view
from streams.control import control_message
from streams.log import LogRecord
from tests.streams.console.makers import of, verdict
from tests.streams.small_model import small_model

NOW_MS = 1_800_000_000_000
EUR = Money("EUR", 2)


def summary(number: int, time_ms: int, model: str = "m1", partition: int = 0, **counts: object) -> Summary:
    return Summary(partition=partition, number=number, time_ms=time_ms, model=model, counts=Counts(**counts))  # type: ignore[arg-type]


def positions(at_ms: int, committed: int | None, end: int) -> Sample:
    return Sample(at_ms, {Place("t", 0): Position(committed, 0, end)})


LAGS = [
    # first and last (committed, end) ten seconds apart      lag  arriving  working  catch-up
    ((0, 100), (50, 100), Lag(Place("t", 0), 50, 0.0, 5.0, True), 10.0),
    ((0, 100), (50, 140), Lag(Place("t", 0), 90, 4.0, 5.0, True), 90.0),
    ((0, 100), (50, 150), Lag(Place("t", 0), 100, 5.0, 5.0, True), None),
    ((100, 100), (100, 100), Lag(Place("t", 0), 0, 0.0, 0.0, True), 0.0),
    ((None, 100), (None, 100), Lag(Place("t", 0), 100, 0.0, None, False), None),
]


@pytest.mark.parametrize(("first", "last", "expected", "catch_up_s"), LAGS)
def test_time_to_catch_up_is_lag_over_the_difference_of_speeds(
    first: tuple[int | None, int], last: tuple[int | None, int], expected: Lag, catch_up_s: float | None
) -> None:
    history = LagHistory()
    history.take(positions(0, *first))
    history.take(positions(10_000, *last))
    (found,) = history.now()
    assert found == expected
    assert found.catch_up_s == catch_up_s


def test_one_sample_says_how_far_and_not_how_fast() -> None:
    history = LagHistory()
    assert history.now() == []
    history.take(positions(0, 10, 30))
    assert history.now() == [Lag(Place("t", 0), 20, None, None, True)]


def test_what_the_log_has_dropped_is_not_behind() -> None:
    assert Position(committed=5, low=40, end=100).lag == 60
    assert Position(committed=None, low=40, end=100).lag == 60


def test_the_first_page_tells_rates_mix_lag_latency_and_alerts() -> None:
    picture = Picture(1_000)
    for second in range(60):
        at_ms = NOW_MS - 60_000 + second * 1_000
        picture.telemetry.add(summary(second, at_ms, decisions=(90, 5, 3, 2)))
    picture.engine_lag.take(positions(NOW_MS - 10_000, 0, 100))
    picture.engine_lag.take(positions(NOW_MS, 50, 100))
    picture.latency.take([(NOW_MS - 1_000, 40), (NOW_MS - 900, 60)])
    view = live_view(picture, NOW_MS)
    figures = {figure.name: figure for figure in view.figures}
    assert figures["verdicts a second"].value == "100"
    assert figures["not approved"].value == "10.0 %"
    assert figures["event to verdict"].value == "40 ms"
    assert (figures["records behind"].value, figures["records behind"].state) == ("50", "behind")
    assert figures["alerts in force"].state == "good"
    assert [(row.name, row.count, row.share) for row in view.mix][3] == ("decline", "120", "2.0 %")
    assert [row.catch_up for row in view.engine] == ["in 10 seconds"]


def test_a_page_without_anything_says_so_and_invents_nothing() -> None:
    view = live_view(Picture(1_000), NOW_MS)
    assert "No telemetry" in view.said
    assert {figure.value for figure in view.figures} == {"0", "–", "the model"}
    assert view.figures[-1].note == "the breaker is closed, as ever"
    assert all(chart.is_empty or chart.id == "rate" for chart in view.charts)


def test_the_first_page_tells_who_decides_in_place_of_the_model() -> None:
    picture = Picture(1_000)
    for value, shown, state in (("rules_only", "rules only", "losing"), ("closed", "the model", "good")):
        marker = Marker(event_id=value, time_ms=NOW_MS - 120_000, marker="breaker", value=value)
        picture.take("control", 0, [LogRecord(0, control_message(marker, "control").value, b"breaker")])
        who = live_view(picture, NOW_MS).figures[-1]
        assert (who.name, who.value, who.state) == ("who decides", shown, state)
        assert who.note.endswith("2 minutes ago")


def test_latencies_are_of_verdicts_whose_event_was_read() -> None:
    landed = [Landed(0, 5, 1_045), Landed(0, 6, 1_050), Landed(0, 9, 1_100)]
    assert latencies(landed, {5: 1_000, 9: 1_200}) == [(1_045, 45), (1_100, 0)]


@given(st.lists(st.integers(0, 10_000), min_size=1), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_percentile_is_the_least_value_that_enough_do_not_exceed(values: list[int], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values)


def test_verdicts_of_a_batch_are_remembered_for_a_sample_of_latencies() -> None:
    picture = Picture(1_000)
    picture.take("verdicts", 3, of(*(verdict(f"e{number}") for number in range(80))))
    assert len(picture.landed) == 50
    assert picture.landed[-1] == Landed(3, 0, 5_000)
    assert LatencyBook().over(0, NOW_MS) is None


@given(st.floats(0, 1e9))
def test_ticks_reach_the_highest_value_and_are_few(highest: float) -> None:
    ticks = nice_ticks(highest)
    assert ticks[0] == 0.0
    assert ticks[-1] >= highest * (1 - 1e-6)
    assert 2 <= len(ticks) <= 6


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e6)), min_size=2, max_size=30))
def test_a_line_stays_within_its_drawing_and_breaks_at_gaps(values: list[float | None]) -> None:
    points = [(place * 10_000, value) for place, value in enumerate(values)]
    chart = line_chart("c", "t", "s", [Series("v", "one", points)], 0, len(values) * 10_000, str)
    lines = [shape.path for shape in chart.shapes if shape.css.startswith("line")]
    known = [value for value in values if value is not None]
    assert bool(lines) == bool(known)
    for path in lines:
        places = [tuple(map(float, place.split())) for piece in path.split("M")[1:] for place in piece.split("L")]
        assert all(LEFT <= x <= WIDTH - RIGHT and TOP <= y <= HEIGHT for x, y in places)
        runs = [run for run in "".join("1" if value is not None else "0" for value in values).split("0") if run]
        assert len(path.split("M")) - 1 == len(runs)


def test_bars_are_as_high_as_their_share_and_the_table_has_the_same_numbers() -> None:
    chart = bars_chart("c", "t", "s", [0.5, 0.25, 0.0], [0.2, 0.2, 0.6], ["a", "b", "c"], lambda value: f"{value:.2f}")
    heights = [box.height for box in chart.boxes]
    assert heights[0] == pytest.approx(2 * heights[1], abs=0.2)
    assert chart.rows == [["a", "0.50", "0.20"], ["b", "0.25", "0.20"], ["c", "0.00", "0.60"]]
    assert Scale(0, 0, 5, 9).at(3) == 5


def bins_of(shift: int) -> tuple[tuple[int, ...], ...]:
    """Live counts that are those of training, or in the bin `shift` further."""
    return tuple(
        tuple(np.roll(feature.counts, shift).tolist()) for feature in small_model().artefact.reference.features
    )


def test_traffic_as_in_training_has_no_drift_and_other_traffic_has() -> None:
    artefact = small_model().artefact
    reference = artefact.reference
    missing = tuple(feature.missing for feature in reference.features)
    for shift, state in ((0, "good"), (3, "losing")):
        counts = Counts(
            decisions=reference.decision_counts, scores=reference.score_counts, sampled=reference.rows,
            bins=bins_of(shift), missing=missing,
        )  # fmt: skip
        view = models_view({artefact.id[:16]: counts}, lambda _: artefact)
        assert view.drift[0].state == state
        assert len(view.drift) == 12
        assert view.models[0].name == artefact.manifest.name


def test_few_rows_and_models_that_are_elsewhere_are_not_compared() -> None:
    artefact = small_model().artefact
    few = Counts(decisions=(5, 0, 0, 0), sampled=LEAST_ROWS - 1, bins=bins_of(0), missing=(0,) * len(bins_of(0)))
    assert models_view({"m": few}, lambda _: artefact).drift == []
    elsewhere = models_view({"m": few}, lambda _: None)
    assert "not on this machine" in elsewhere.drift_said
    assert elsewhere.score_chart is not None
    assert models_view({}, lambda _: artefact).models == []


def test_two_models_are_shown_beside_each_other() -> None:
    scores = tuple(2 if place == 10 else 0 for place in range(SCORE_BINS))
    one = Counts(decisions=(90, 0, 0, 10), scores=scores, score_sum_micro=400_000)
    other = Counts(decisions=(95, 0, 0, 5), scores=scores, score_sum_micro=200_000)
    view = models_view({"one": one, "other": other}, lambda _: None)
    lines = {line.what: line for line in view.compared}
    assert lines["decline"].difference == "-5.00 points"
    assert lines["mean score"].difference == "-0.1000"
    assert models_view({"one": one}, lambda _: None).compared == []


def links(*pairs: tuple[str, str], fraud: str) -> LinkBook:
    rows = np.zeros(len(pairs), LINK)
    for place, (account, device) in enumerate(pairs):
        rows[place]["account"], rows[place]["entity"], rows[place]["time_ms"] = hash64(account), hash64(device), place
    marks = np.zeros(1, MARK)
    marks[0]["account"], marks[0]["fraud"] = hash64(fraud), True
    book = LinkBook()
    book.add(Flushes(np.zeros(0, FLUSH), rows, np.zeros(0, VOLUME), marks))
    return book


def test_the_graph_shows_who_else_met_a_device_and_whose_fraud_it_was() -> None:
    book = links(("a1", "d1"), ("a2", "d1"), ("a3", "d1"), ("a4", "d9"), fraud="a2")
    graph = graph_view(book, "a1", entities_of({"device_id": "d1", "ip": "1.2.3.4"}), {hash64("a3"): "a3"})
    assert graph is not None
    assert [(each.account, each.is_fraud) for each in graph.neighbours] == [
        ("a3", False),
        (f"#{hash64('a2'):016x}"[:9], True),
    ]
    assert graph.said.startswith("2 other accounts met the same device, ip; 1 of them")
    assert sum("fraud" in node.css for node in graph.nodes) == 1
    assert graph_view(book, "a1", [], {}) is None


def past(time_ms: int, amount_minor: int | None, **more: object) -> PastEvent:
    fields = dict.fromkeys(PastEvent.__struct_fields__)
    kind = "login" if amount_minor is None else "payment"
    return PastEvent(**{**fields, "offset": 1, "time_ms": time_ms, "kind": kind, "amount_minor": amount_minor, **more})


def test_a_timeline_goes_to_the_right_and_up() -> None:
    day = 86_400_000
    drawn = timeline([past(0, 100), past(day, None), past(2 * day, 100_000, decision="decline", label="fraud")], EUR)
    small, login, large = drawn.dots
    assert small.x < login.x < large.x
    assert large.y < small.y < login.y == drawn.floor
    assert large.css == "decline labelled-fraud"
    assert "1,000.00 EUR" in large.title
    assert [tick.text for tick in drawn.y_ticks] == ["1", "10", "100", "1,000"]
    assert timeline([], EUR).dots == []
