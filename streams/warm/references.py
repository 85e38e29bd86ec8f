"""What models were trained on, looked up by the beginning of an id as verdicts and telemetry name it."""

from pathlib import Path

from models.artefact import read_artefact
from models.model_store import ModelStore
from models.reference import Reference
from streams.config import Config
from streams.shipped_model import SHIPPED
from streams.warm.traffic_watch import OpenReference


def references_of(config: Config) -> OpenReference:
    """The way to references of the first model and of those in the directory of models.

    Raises:
        AssayError: the first model is missing or damaged.
    """
    store = ModelStore(Path(config.text("models.directory")))
    first = config.text("models.first")
    artefact = read_artefact(store.find(first) if first else SHIPPED)

    def open_reference(model: str) -> Reference:
        return artefact.reference if artefact.id.startswith(model) else read_artefact(store.find(model)).reference

    return open_reference
