"""Everything that is slow the first time, done before it matters: kernels compiled or loaded, the model tried.

A worker does it before it takes partitions, an image when it is built (`python -m streams.warm_up`).
"""

import numpy as np
import orjson

from features.store import MemoryStore
from models.decision import OUTCOMES
from models.reasons import Explained
from streams.log import LogRecord
from streams.model_in_force import ModelInForce
from streams.partition import Partition
from streams.signature import everybody


def warm_up(model: ModelInForce) -> None:
    """Fold a payment, its label and a marker, explain a score, store and bring back the state; all is thrown away."""

    def no_other(_: str) -> ModelInForce:
        return model

    common = {"account_id": "warm-up", "time_ms": 0}
    payment = {**common, "event_id": "payment", "type": "payment", "amount_minor": 1, "currency": model.rates.base}
    label = {**common, "event_id": "label", "type": "label", "judged_event_id": "payment", "label": "legit"}
    marker = {"time_ms": 0, "event_id": "marker", "type": "marker", "marker": "model", "value": model.id}
    log = [payment | {"method": "card"}, label | {"known_at_ms": 0, "source": "analyst"}, marker]
    store = MemoryStore()
    partition = Partition(0, store, model, no_other)
    output = partition.fold([LogRecord(place, orjson.dumps(event)) for place, event in enumerate(log)], everybody)
    assert len(output.verdicts) == len(output.outcomes) == 1, output
    assert len(partition.engine.accounts.history("warm-up")) == 1
    _explain(model)
    partition.hot_bytes = 0
    partition.checkpoint()
    partition = Partition(0, store, model, no_other)
    again = {**payment, "event_id": "again", "method": "card"}
    partition.fold([LogRecord(len(log), orjson.dumps(again))], everybody)
    assert len(partition.engine.accounts.history("warm-up")) == 2


def _explain(model: ModelInForce) -> None:
    """Give the reasons of a score as if it had been declined: the payment above is approved, and has none."""
    values = model.artefact.golden.rows[:1]
    declined = np.full(1, OUTCOMES.index("decline"), dtype=np.uint8)
    contributions = model.scorer.contributions(values).values
    events = Explained(values, contributions, declined, np.ones(1), np.full(1, np.nan), None, model.detector_columns)
    assert model.explainer.reasons(events, model.policy)[0]


if __name__ == "__main__":
    from streams.model_in_force import open_model
    from streams.shipped_model import SHIPPED

    warm_up(open_model(SHIPPED))
