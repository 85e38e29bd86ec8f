"""What the log has put in force up to a place: the breaker, and which models it asked for. Known from the log alone.

Whether a model can be opened here says nothing about the log, so it plays no part in this.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from features.events import Marker
from models.watch_limits import CLOSED, IN_FORCE, LAST_GOOD_MODEL, InForce

MOST_TENURES: Final = 16
"""So many models are remembered; one that was asked for longer ago is forgotten, and is new if it comes back."""


class Tenure(msgspec.Struct, frozen=True, array_like=True):
    """A model that the log asked for.

    Attributes:
        model: its id.
        is_good: the breaker was never other than closed while the log asked for it.
    """

    model: str
    is_good: bool


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where the log stands.

    Attributes:
        breaker: what is in force in place of the model's decisions.
        tenures: models that the log asked for, each once, the newest first: the first is asked for now.
    """

    breaker: InForce = CLOSED
    tenures: tuple[Tenure, ...]

    @classmethod
    def at_start(cls, first_model: str) -> "Standing":
        """Before the first record."""
        return cls(tenures=(Tenure(first_model, True),))

    @property
    def last_good(self) -> str | None:
        """The newest good model before the one that the log asks for now; None if it knows of none."""
        return next((tenure.model for tenure in self.tenures[1:] if tenure.is_good), None)

    @property
    def stand_in(self) -> str | None:
        """The model that has to decide now in place of the one that the log asks for; None: none has to, or can."""
        return self.last_good if self.breaker == LAST_GOOD_MODEL else None

    @property
    def wants_in_vain(self) -> bool:
        """Whether the last good model is to decide, and the log knows of none."""
        return self.breaker == LAST_GOOD_MODEL and self.last_good is None

    def after(self, marker: Marker) -> "Standing":
        """Where it stands behind a marker; one of another kind, or that nobody knows, changes nothing.

        >>> model = Marker(event_id="m1", time_ms=0, marker="model", value="b")
        >>> breaker = Marker(event_id="m2", time_ms=0, marker="breaker", value="last_good_model")
        >>> Standing.at_start("a").after(model).after(breaker).stand_in
        'a'
        """
        if marker.marker == "model":
            return self._asking_for(marker.value)
        if marker.marker == "breaker" and marker.value in IN_FORCE:
            return self._under(marker.value)
        return self

    def _asking_for(self, model: str) -> "Standing":
        known = next((tenure for tenure in self.tenures if tenure.model == model), Tenure(model, True))
        now = Tenure(model, known.is_good and self.breaker == CLOSED)
        others = [tenure for tenure in self.tenures if tenure.model != model]
        return msgspec.structs.replace(self, tenures=(now, *others)[:MOST_TENURES])

    def _under(self, breaker: InForce) -> "Standing":
        now, *others = self.tenures
        now = Tenure(now.model, now.is_good and breaker == CLOSED)
        return msgspec.structs.replace(self, breaker=breaker, tenures=(now, *others))


def stand_ins(standing: Standing, markers: Iterable[Marker]) -> set[str]:
    """The models that have to stand in behind one of `markers`, which come after `standing`."""
    found = set()
    for marker in markers:
        moved = standing.after(marker)
        if moved is not standing:  # else the model that could not be opened would be tried again at every record
            found.add(moved.stand_in)
        standing = moved
    return {model for model in found if model is not None}
