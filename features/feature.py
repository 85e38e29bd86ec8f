"""What a feature is: a declaration that serving, training, reasons and the docs all read.

A feature is a measure, a ratio of two measures, or a distance in standard deviations. Features are served as float32,
rounded once from the float64 in which they are computed.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import orjson
from numpy.typing import NDArray

DIRECT, RATIO, DEVIATIONS, OF_ENTITY = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Measured:
    """How a feature is computed: from the vector of measures of the account, or from the profile of an entity.

    ``DIRECT``: first. ``RATIO``: scale * first / second, NaN if either is NaN or second is 0.
    ``DEVIATIONS``: (first - second) / third, NaN if any is NaN or third is 0.
    ``OF_ENTITY``: number `second` of the profile of the event's entity of kind `first` (`features/entity_features.py`).
    """

    operation: int
    first: int
    second: int = 0
    third: int = 0
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Feature:
    """One declaration.

    Attributes:
        name: ``<entity>_<what>_<stat>_<window>``, units in the name where it is not a count.
        entity: whose history is read.
        definition: what the number is, in one sentence.
        unit: ``events``, ``minor`` (base currency), ``s``, ``km``, ``km/h``, ``hour``, ``weekday``, ``flag``,
            ``ratio``, ``std``, ``code``.
        low: smallest possible value.
        high: largest possible value, infinity where there is none.
        nan: when the value is NaN; empty if it never is.
        reason_code: the registered code under which the feature appears in a verdict.
        measured: how it is computed.
        window: the window it reads, None if it reads none or several.
        usual: (name of another feature, scale): the account's own usual value, told beside this one in a reason.
    """

    name: str
    entity: str
    definition: str
    unit: str
    low: float
    high: float
    nan: str
    reason_code: str
    measured: Measured
    window: str | None = None
    usual: tuple[str, float] | None = None


@dataclass(frozen=True)
class FeatureSet:
    """An ordered list of features with its version and hash; compiles to the plan that the kernel follows."""

    version: int
    features: tuple[Feature, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names in column order."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def index(self) -> dict[str, int]:
        """Name to column."""
        return {name: column for column, name in enumerate(self.names)}

    @cached_property
    def hash(self) -> str:
        """Sha256 (hex) over the version and, in order, every name, unit and way of computing."""
        meaning = [[f.name, f.unit, *(getattr(f.measured, part) for part in Measured.__slots__)] for f in self.features]
        return hashlib.sha256(orjson.dumps([self.version, meaning])).hexdigest()

    @cached_property
    def of_accounts(self) -> tuple[Feature, ...]:
        """The features that an account and the event itself give; they stand before those of entities."""
        own = tuple(feature for feature in self.features if feature.measured.operation != OF_ENTITY)
        assert own == self.features[: len(own)], "features of entities stand behind all others"
        return own

    @cached_property
    def plan(self) -> NDArray[np.int32]:
        """int32[a, 4]: operation, first, second, third of each feature of the account, in column order."""
        measured = [feature.measured for feature in self.of_accounts]
        rows = [(one.operation, one.first, one.second, one.third) for one in measured]
        return np.array(rows, dtype=np.int32)

    @cached_property
    def scales(self) -> NDArray[np.float64]:
        """float64[a]: factor of each ratio."""
        return np.array([feature.measured.scale for feature in self.of_accounts], dtype=np.float64)

    def __len__(self) -> int:
        return len(self.features)
