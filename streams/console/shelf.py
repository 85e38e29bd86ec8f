"""Models of this machine, by the first digits of their ids as verdicts and telemetry name them; read once each."""

from pathlib import Path
from typing import Final

from features.errors import AssayError
from features.money import EXPONENTS
from features.records import Verdict
from models.artefact import Artefact, read_artefact
from models.model_store import ModelStore
from models.policy import Costs, Policy
from models.wording import Money
from streams.config import Config
from streams.shipped_model import SHIPPED

MOST_KEPT: Final = 16


class ModelShelf:
    """Reads models; nothing is scored with them.

    Args:
        config: where models are.

    Raises:
        AssayError: the first model is missing or damaged.
    """

    def __init__(self, config: Config) -> None:
        self._store = ModelStore(Path(config.text("models.directory")))
        reference = config.text("models.first")
        self.first = read_artefact(self._store.find(reference) if reference else SHIPPED)
        self._known: dict[str, Artefact | None] = {}

    @property
    def money(self) -> Money:
        """The base currency."""
        base = self.first.rates.base
        return Money(base, EXPONENTS[base])

    def artefact(self, model: str) -> Artefact | None:
        """A model by the first digits of its id; None if its files are not here or not whole."""
        if self.first.id.startswith(model):
            return self.first
        if model not in self._known:
            if len(self._known) >= MOST_KEPT:
                self._known.clear()
            self._known[model] = self._read(model)
        return self._known[model]

    def costs_of(self, verdict: Verdict) -> Costs:
        """Costs of a payment under the policy that gave a verdict; those of the first model if it is not here."""
        artefact = self.artefact(verdict.model)
        known = artefact is not None and artefact.policy_id.startswith(verdict.policy)
        policy: Policy = artefact.policy if known and artefact is not None else self.first.policy
        return policy.payment

    def choices(self) -> list[tuple[str, str]]:
        """Models to replay with: id and name."""
        found = {self.first.id: self.first.manifest.name}
        for model_id in self._store.ids():
            artefact = self.artefact(model_id)
            if artefact is not None:
                found[model_id] = artefact.manifest.name
        return list(found.items())

    def _read(self, model: str) -> Artefact | None:
        """Only what stands in the store under this id: an id is no path."""
        matching = [model_id for model_id in self._store.ids() if model and model_id.startswith(model)]
        if len(matching) != 1:
            return None
        try:
            return read_artefact(self._store.root / matching[0])
        except AssayError:
            return None
