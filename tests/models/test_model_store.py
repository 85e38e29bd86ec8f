import pytest

import models.model_store
from features.errors import AssayError
from models.artefact import read_artefact
from models.model_store import ModelStore
from tests.models.artefacts import make


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    root = tmp_path_factory.mktemp("sources")
    return [make(root / str(seed), seed=seed) for seed in range(1, 4)]


@pytest.fixture
def store(tmp_path):
    return ModelStore(tmp_path / "not" / "yet")


def test_a_store_without_a_directory_is_empty(store):
    assert store.ids() == ()
    with pytest.raises(AssayError, match=r"'abcd' is neither .* there is no model in .*not/yet"):
        store.find("abcd")


def test_an_added_model_is_found_by_any_beginning_of_its_id(store, sources):
    for artefact in sources:
        directory = store.add(artefact.directory)
        assert read_artefact(directory).id == artefact.id == directory.name
    assert store.ids() == tuple(sorted(artefact.id for artefact in sources))
    for artefact in sources:
        assert store.find(artefact.id) == store.find(artefact.id[:16]) == store.find(artefact.id[:16].upper())
        assert store.find(artefact.id[:16]).name == artefact.id


def test_a_directory_anywhere_is_found_as_it_is(store, sources):
    assert store.find(str(sources[0].directory)) == sources[0].directory


def test_a_reference_that_fits_none_names_what_is_there(store, sources):
    store.add(sources[0].directory)
    for reference in ("0123456789", "", "nowhere/at/all"):
        with pytest.raises(AssayError, match=sources[0].id[:16]):
            store.find(reference)


def test_a_reference_that_fits_two_names_both(tmp_path):
    store = ModelStore(tmp_path)
    for last in "ab":
        (tmp_path / ("7" * 63 + last)).mkdir()
        (tmp_path / ("7" * 63 + last) / "manifest.json").touch()
    with pytest.raises(AssayError, match=r"'77' is the beginning of 7{16}, 7{16} in .*more digits"):
        store.find("77")
    assert store.find("7" * 63 + "b").name.endswith("b")


def test_many_models_are_cut_short(tmp_path):
    for number in range(20):
        (tmp_path / f"{number:064x}").mkdir()
        (tmp_path / f"{number:064x}" / "manifest.json").touch()
    with pytest.raises(AssayError, match="and 12 more"):
        ModelStore(tmp_path).find("f")


def test_what_is_no_model_is_not_listed(tmp_path, sources):
    store = ModelStore(tmp_path)
    (tmp_path / ".partial-x").mkdir()
    (tmp_path / ("0" * 64)).mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "manifest.json").touch()
    store.add(sources[0].directory)
    assert store.ids() == (sources[0].id,)


def test_adding_twice_changes_nothing(store, sources):
    first = store.add(sources[0].directory)
    before = {path: path.stat().st_mtime_ns for path in first.iterdir()}
    assert store.add(sources[0].directory) == first
    assert {path: path.stat().st_mtime_ns for path in first.iterdir()} == before


def test_adding_a_damaged_model_leaves_the_store_as_it_was(store, tmp_path):
    make(tmp_path / "m")
    (tmp_path / "m" / "model.txt").write_bytes(b"tree")
    with pytest.raises(AssayError, match="expected sha256"):
        store.add(tmp_path / "m")
    assert store.ids() == ()


def test_a_model_damaged_in_the_store_is_told_when_it_is_added_again(store, sources):
    there = store.add(sources[0].directory)
    (there / "rates.json").write_bytes(b"{}")
    with pytest.raises(AssayError, match=str(there)):
        store.add(sources[0].directory)


def test_a_model_that_another_process_adds_meanwhile_is_no_error(store, sources, monkeypatch):
    real = models.model_store.write_files

    def slower(destination, content):
        real(destination, content)
        real(destination, content)

    monkeypatch.setattr(models.model_store, "write_files", slower)
    assert store.add(sources[0].directory).name == sources[0].id
