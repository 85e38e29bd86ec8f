import json
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from features.errors import AssayError
from models import canary
from models.artefact import load_artefact
from tests.models.artefacts import FEATURE_SET, FEATURES, make, reseal
from tests.models.random_models import random_rows, train

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return make(tmp_path_factory.mktemp("models") / "sound")


@pytest.fixture
def directory(sound, tmp_path):
    return Path(shutil.copytree(sound.directory, tmp_path / "m"))


def resealed(directory, model_text):
    (directory / "model.txt").write_bytes(model_text)
    return reseal(directory)


def refusal(directory, artefact_id, timeout_s=canary.TIMEOUT_S):
    with pytest.raises(AssayError) as raised:
        canary.check(directory, artefact_id, timeout_s)
    message = str(raised.value)
    assert message.startswith(f"{directory}: ")
    assert "it was not loaded" in message
    assert "\n" not in message
    return message


def with_a_cycle(model_text):
    """Every node of the first tree has the root as both children: no row ever reaches a leaf. The length stays."""
    head, tail = model_text.split(b"\nleft_child=", 1)
    left, right, rest = tail.split(b"\n", 2)
    left, right = (re.sub(rb"[-0-9]", b"0", line) for line in (left, right.removeprefix(b"right_child=")))
    return b"\n".join([head, b"left_child=" + left, b"right_child=" + right, rest])


def test_a_sound_model_passes_and_is_remembered(sound, cache, monkeypatch):
    canary.check(sound.directory, sound.id)
    assert [path.name for path in cache.rglob("*") if path.is_file()] == [f"{sound.id}-{canary.library_version()}"]

    def never(*arguments, **settings):
        raise AssertionError("a second trial")

    monkeypatch.setattr(subprocess, "run", never)
    canary.check(sound.directory, sound.id)
    monkeypatch.setattr(canary, "library_version", lambda: "9.9.9")
    with pytest.raises(AssertionError, match="a second trial"):
        canary.check(sound.directory, sound.id)


def test_a_model_that_failed_is_tried_again(directory, sound, cache):
    artefact_id = resealed(directory, sound.model_text[:5000])
    refusal(directory, artefact_id)
    refusal(directory, artefact_id)
    assert not cache.exists()


def test_a_text_cut_off_anywhere_kills_the_trial_and_not_this_process(directory, sound):
    endings = Counter()
    end_of_trees = sound.model_text.index(b"end of trees")
    for size in range(0, end_of_trees - 500, end_of_trees // 16):  # without its last blank lines it is sound still
        message = refusal(directory, resealed(directory, sound.model_text[:size]))
        endings["killed" if "killed the trial process with SIG" in message else "told"] += 1
    assert endings["killed"] >= 10, endings


def test_a_text_cut_off_anywhere_is_refused_on_loading(directory, sound):
    end_of_trees = sound.model_text.index(b"end of trees")
    for size in range(0, end_of_trees, 199):
        resealed(directory, sound.model_text[:size])
        with pytest.raises(AssayError, match=str(directory)):
            load_artefact(directory, FEATURE_SET)


def test_a_cycle_that_never_returns_is_stopped(directory, sound):
    artefact_id = resealed(directory, with_a_cycle(sound.model_text))
    assert "did not score within 2 s" in refusal(directory, artefact_id, timeout_s=2)


def test_a_cycle_is_stopped_on_loading_even_where_the_trees_are_not_read(tmp_path, monkeypatch):
    text = train(2, features=FEATURES, names=FEATURE_SET.names, zero_as_missing=True).model_to_string()
    make(tmp_path / "m", model_text=text)
    resealed(tmp_path / "m", with_a_cycle(text.encode()))
    real = canary.check
    monkeypatch.setattr(canary, "check", lambda directory, artefact_id: real(directory, artefact_id, timeout_s=2))
    with pytest.raises(AssayError, match="did not score within 2 s"):
        load_artefact(tmp_path / "m", FEATURE_SET)


def test_flipped_bits_with_matching_hashes_are_caught_or_harmless(directory, sound):
    """Whatever still loads scores rows that nobody tried without ending the process that does it."""
    generator = random.Random(3)
    accepted, refused = [], Counter()
    for _ in range(50):
        text = bytearray(sound.model_text)
        text[generator.randrange(text.index(b"end of trees"))] ^= 1 << generator.randrange(7)
        resealed(directory, bytes(text))
        try:
            accepted.append(load_artefact(directory, FEATURE_SET).model_text)
        except AssayError as error:
            refused["trial" if "it was not loaded" in str(error) else "reading"] += 1
    assert refused["trial"] >= 5, refused
    assert refused["reading"] >= 5, refused
    rows = random_rows(8, 3000, FEATURES, missing_share=0.3)
    program = (
        "import sys, ctypes\n"
        "from models.booster import RAW_SCORE, Booster\n"
        "rows = sys.stdin.buffer.read(int(sys.argv[1]))\n"
        "count = len(rows) // 4 // int(sys.argv[2])\n"
        "scores = (ctypes.c_double * count)()\n"
        "for size in sys.argv[3:]:\n"
        "    booster = Booster(sys.stdin.buffer.read(int(size)))\n"
        "    address = ctypes.addressof(ctypes.create_string_buffer(rows))\n"
        "    booster.predict(RAW_SCORE, address, count, ctypes.addressof(scores), count)\n"
    )
    sizes = [str(len(text)) for text in accepted]
    subprocess.run(
        [sys.executable, "-c", program, str(rows.nbytes), str(FEATURES), *sizes],
        input=rows.tobytes() + b"".join(accepted),
        cwd=ROOT,
        check=True,
    )


def test_a_tree_that_asks_for_more_memory_than_there_is_is_refused(directory, sound):
    artefact_id = resealed(directory, sound.model_text.replace(b"num_leaves=15", b"num_leaves=2000000000", 1))
    refusal(directory, artefact_id)


def test_a_score_that_differs_in_one_bit_is_told_with_both_numbers(directory, sound):
    golden = json.loads((directory / "golden.json").read_bytes())
    expected = golden["scores"][2]
    digits, exponent = expected.split("p")
    other = digits[:-1] + ("0" if digits[-1] != "0" else "1") + "p" + exponent
    golden["scores"][2] = other
    (directory / "golden.json").write_text(json.dumps(golden))
    message = refusal(directory, reseal(directory))
    assert f"golden row 2 scores {expected}, expected {other}" in message


def test_golden_rows_of_another_width_are_told(directory):
    (directory / "golden.json").write_text('{"rows":[["0x1p0"]],"scores":["0x1p0"]}')
    assert f"expected golden rows of {FEATURES} values" in refusal(directory, reseal(directory))


def test_a_file_that_changes_after_it_was_checked_is_not_tried(directory, sound):
    (directory / "model.txt").write_bytes(sound.model_text[:-1])
    assert "model.txt changed since it was checked" in refusal(directory, sound.id)
    artefact_id = reseal(directory)
    assert artefact_id != sound.id
    assert "manifest.json changed since it was checked" in refusal(directory, sound.id)


def test_a_file_that_vanishes_after_it_was_checked_is_told(directory, sound):
    (directory / "golden.json").unlink()
    assert "golden.json" in refusal(directory, sound.id)


def test_a_cache_that_takes_no_file_is_no_reason_to_refuse(sound, cache):
    cache.write_text("a file where the directory would be")
    canary.check(sound.directory, sound.id)


def test_without_a_home_directory_nothing_is_remembered(sound, monkeypatch):
    monkeypatch.delenv("ASSAY_CACHE")

    def homeless(self):
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "expanduser", homeless)
    canary.check(sound.directory, sound.id)


def test_a_package_named_models_in_the_working_directory_does_not_matter(sound, tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("raise SystemExit('the wrong package')")
    monkeypatch.chdir(tmp_path)
    canary.check(sound.directory, sound.id)


def test_a_relative_directory_is_tried_where_it_is(sound, monkeypatch):
    monkeypatch.chdir(sound.directory.parent)
    canary.check(Path(sound.directory.name), sound.id)


def test_the_trial_process_imports_nothing_slow():
    code = (
        "import sys, models.canary; "
        "sys.exit(', '.join({'numpy', 'lightgbm', 'numba', 'msgspec'} & sys.modules.keys()) or 0)"
    )
    child = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (child.returncode, child.stderr) == (0, "")
