"""Everything that is slow the first time, done before it matters: kernels compiled or loaded, the model tried.

A worker does it before it takes partitions, an image when it is built (`python -m streams.warm_up`).
"""

import orjson

from features.store import MemoryStore
from streams.log import LogRecord
from streams.model_in_force import ModelInForce
from streams.partition import Partition
from streams.signature import everybody


def warm_up(model: ModelInForce) -> None:
    """Fold a payment and its label, and explain the payment, on a state that is thrown away."""

    def no_other(_: str) -> ModelInForce:
        return model

    common = {"account_id": "warm-up", "time_ms": 0}
    payment = {**common, "event_id": "payment", "type": "payment", "amount_minor": 1, "currency": model.rates.base}
    label = {**common, "event_id": "label", "type": "label", "judged_event_id": "payment", "label": "legit"}
    log = [payment | {"method": "card"}, label | {"known_at_ms": 0, "source": "analyst"}]
    partition = Partition(0, MemoryStore(), model, no_other)
    output = partition.fold([LogRecord(place, orjson.dumps(event)) for place, event in enumerate(log)], everybody)
    assert len(output.verdicts) == len(output.outcomes) == 1, output
    applied = partition.engine.accounts.history("warm-up")
    assert len(applied) == 1
    model.scorer.contributions(model.artefact.golden.rows[:1])
    partition.checkpoint()


if __name__ == "__main__":
    from streams.commands.models import SHIPPED
    from streams.model_in_force import open_model

    warm_up(open_model(SHIPPED))
