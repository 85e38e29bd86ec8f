"""What another model, policy or feature set means in a replay: what is in force, and where it comes from."""

import hashlib
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from features.errors import AssayError
from features.feature import FeatureSet
from models.policy import Policy
from models.watch_limits import CLOSED
from streams.model_in_force import ModelInForce
from streams.partition import OpenModel, Partition


@dataclass(frozen=True, slots=True)
class Override:
    """What is in force from the start of a range on, instead of what the log says.

    Attributes:
        model: holds through the whole range: markers are passed over, also those of the breaker, which answered to the
            model that was there. None: the models that the log names.
        policy: of whatever model is in force; None: its own. The breaker opens and closes as it did.
    """

    model: ModelInForce | None = None
    policy: Policy | None = None

    def apply(self, partition: Partition, open_model: OpenModel) -> bool:
        """Put it in force in a partition that stands at the start of the range.

        Args:
            partition: changed.
            open_model: opens models that markers name.

        Returns:
            Whether the online detector goes on; it begins anew if the model asks for another one.

        Raises:
            AssayError: model or policy are in another currency than the accounts.
        """
        held, policy = self.model, self.policy
        if held is not None:
            model = with_policy(held, policy)
            goes_on = partition.switch(model, lambda _: model)
            partition.engine.standing = msgspec.structs.replace(partition.engine.standing, breaker=CLOSED)
            partition.engine.stand_in, partition.engine.heeds_breaker = None, False
            return goes_on
        if policy is None:
            return True
        degraded = partition.engine.degraded
        goes_on = partition.switch(
            with_policy(partition.engine.model, policy), lambda model_id: with_policy(open_model(model_id), policy)
        )
        partition.engine.degraded = degraded
        return goes_on


AS_RECORDED = Override()
"""Nothing is changed: the verdicts are those that were published."""


def with_policy(model: ModelInForce, policy: Policy | None) -> ModelInForce:
    """The same model under another policy; it keeps its id, verdicts name the policy beside it.

    Raises:
        AssayError: the policy is in another currency, or its rules look at features that the model does not have.
    """
    if policy is None:
        return model
    if policy.currency != model.rates.base:
        raise AssayError(
            f"expected a policy in {model.rates.base}, the currency of model {model.id[:16]}, got one in "
            f"{policy.currency}: set its currency and amounts"
        )
    policy.check_features(model.feature_set.names, "the policy")
    policy_id = hashlib.sha256(policy.to_json()).hexdigest()
    return replace(model, artefact=replace(model.artefact, policy=policy, policy_id=policy_id))


def read_policy(path: Path) -> Policy:
    """A policy file.

    Raises:
        AssayError: it cannot be read, or is no policy.
    """
    try:
        return Policy.from_json(path.read_bytes(), str(path))
    except OSError as error:
        raise AssayError(f"{path}: expected a readable policy file ({error.strerror})") from None
    except (UnicodeDecodeError, RecursionError):
        raise AssayError(f"{path}: expected a policy in JSON; see docs/policy.md") from None


def import_feature_set(reference: str) -> FeatureSet:
    """The feature set that ``MODULE:NAME`` names; modules of the current directory can be named too.

    Raises:
        AssayError: no such module or name, or it is no feature set.

    >>> import_feature_set("features.catalogue:FEATURES").version
    2
    """
    module_name, _, name = reference.partition(":")
    try:
        with _current_directory_first():
            found = getattr(importlib.import_module(module_name), name, None)
    except (ImportError, ValueError, SyntaxError) as error:
        raise AssayError(f"--feature-set {reference}: expected MODULE:NAME of a module: {error}") from None
    if not isinstance(found, FeatureSet):
        there = "there is none" if found is None else f"it is a {type(found).__name__}"
        raise AssayError(f"--feature-set {reference}: expected {name or 'NAME'} to be a FeatureSet, {there}")
    return found


@contextmanager
def _current_directory_first() -> Iterator[None]:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)
