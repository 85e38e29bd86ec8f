"""Which model a command uses: what was asked for, else the one that ships with the project."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from streams.shipped_model import SHIPPED

if TYPE_CHECKING:
    from streams.model_in_force import ModelInForce


def open_models(reference: str, directory: Path) -> "tuple[ModelInForce, Callable[[str], ModelInForce]]":
    """The first model, and the way to those that markers name.

    Args:
        reference: id, prefix of an id, or directory; empty for the model that ships with the project.
        directory: where models are looked up by id.

    Raises:
        AssayError: the model is missing, damaged or made for another feature set.
    """
    from models.model_store import ModelStore
    from streams.model_in_force import open_model

    store = ModelStore(directory)
    first = open_model(store.find(reference) if reference else SHIPPED)

    def by_id(model_id: str) -> "ModelInForce":
        return first if first.id.startswith(model_id) else open_model(store.find(model_id))

    return first, by_id
