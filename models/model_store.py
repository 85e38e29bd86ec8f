"""A directory of models, each under its id: where a name such as ``3f9a`` becomes files."""

import re
from dataclasses import dataclass
from pathlib import Path

from features.errors import AssayError
from models.artefact import read_artefact, write_files
from models.manifest import FILES, MANIFEST

_ID = re.compile("[0-9a-f]{64}")
_MOST_IDS = 8
_SHOWN_DIGITS = 16


@dataclass(frozen=True, slots=True)
class ModelStore:
    """Models under `root`, as ``<root>/<id>/manifest.json`` and so on. A root that does not exist is empty.

    Attributes:
        root: the directory.
    """

    root: Path

    def ids(self) -> tuple[str, ...]:
        """Ids of all models, sorted. Nothing is read: a listed model may be damaged."""
        names = (path.parent.name for path in self.root.glob(f"*/{MANIFEST}"))
        return tuple(sorted(name for name in names if _ID.fullmatch(name)))

    def find(self, reference: str) -> Path:
        """Directory of a model.

        Args:
            reference: the directory of a model anywhere, or the first digits of the id of one in this store. A model's
                directory wins.

        Raises:
            AssayError: no model, or more than one; names those that there are.
        """
        if reference and (Path(reference) / MANIFEST).is_file():
            return Path(reference)
        found = [model_id for model_id in self.ids() if reference and model_id.startswith(reference.lower())]
        if len(found) == 1:
            return self.root / found[0]
        if found:
            raise AssayError(f"{reference!r} is the beginning of {_listed(found)} in {self.root}: give more digits")
        there = _listed(self.ids()) or "no model"
        raise AssayError(
            f"{reference!r} is neither the directory of a model nor the beginning of an id: there is {there} in "
            f"{self.root}; train one (assay train), or give the directory of one"
        )

    def add(self, directory: Path) -> Path:
        """Copy a model into the store, complete or not at all; a model that is there already is left as it is.

        Returns:
            Its directory in the store.

        Raises:
            AssayError: `directory` is not a sound model (see `read_artefact`), or the disk refuses.
        """
        artefact = read_artefact(directory)
        destination = self.root / artefact.id
        if not destination.exists():
            try:
                write_files(destination, {name: (directory / name).read_bytes() for name in (MANIFEST, *FILES)})
            except AssayError:
                if not destination.exists():  # else another process was faster
                    raise
        if read_artefact(destination).id != artefact.id:
            raise AssayError(f"{directory} changed while it was copied to {destination}: remove the copy and try again")
        return destination


def _listed(ids: tuple[str, ...] | list[str]) -> str:
    more = len(ids) - _MOST_IDS
    shown = ", ".join(model_id[:_SHOWN_DIGITS] for model_id in ids[:_MOST_IDS])
    return shown + (f" and {more} more" if more > 0 else "")
