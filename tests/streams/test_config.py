"""Settings: which value wins, what is refused, and that a secret is never printed."""

import os
from collections.abc import Mapping
from pathlib import Path

import orjson
import pytest

from features.errors import AssayError
from streams.config import SETTINGS, Config, Value, load_config
from tests.streams.command_line import assay, fails_with

SECRETS = [setting for setting in SETTINGS if setting.secret]


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("ASSAY_")]:
        monkeypatch.delenv(name)


def toml(directory: Path, text: str) -> Path:
    path = directory / "assay.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("file", "environment", "given", "expected", "origin"),
    [
        ("", {}, None, 2_000, "default"),
        ("[engine]\nbatch_events = 3", {}, None, 3, "the file"),
        ("[engine]\nbatch_events = 3", {"ASSAY_ENGINE_BATCH_EVENTS": "4"}, None, 4, "ASSAY_ENGINE_BATCH_EVENTS"),
        ("[engine]\nbatch_events = 3", {"ASSAY_ENGINE_BATCH_EVENTS": "4"}, 5, 5, "command line"),
        ("", {"ASSAY_ENGINE_BATCH_EVENTS": "4"}, None, 4, "ASSAY_ENGINE_BATCH_EVENTS"),
        ("[engine]\nbatch_events = 3", {}, 5, 5, "command line"),
    ],
)
def test_the_nearer_one_wins_and_says_so(
    tmp_path: Path, file: str, environment: Mapping[str, str], given: int | None, expected: int, origin: str
) -> None:
    path = toml(tmp_path, file)
    config = load_config(path, environment, {"engine.batch_events": given})
    assert config.whole("engine.batch_events") == expected
    assert config.origins["engine.batch_events"] == (str(path) if origin == "the file" else origin)


def test_the_environment_may_name_the_file(tmp_path: Path) -> None:
    named = toml(tmp_path, "[http]\nport = 1")
    assert load_config(environment={"ASSAY_CONFIG": str(named)}).whole("http.port") == 1
    other = tmp_path / "other.toml"
    other.write_text("[http]\nport = 2")
    assert load_config(other, {"ASSAY_CONFIG": str(named)}).whole("http.port") == 2


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("kafka.static_membership", "no", False),
        ("kafka.static_membership", "TRUE", True),
        ("kafka.insecure", "1", True),
        ("state.checkpoint_seconds", "0.5", 0.5),
        ("state.checkpoint_seconds", "3", 3.0),
        ("http.port", "-1", -1),
        ("topics.prefix", "", ""),
    ],
)
def test_text_of_the_environment_becomes_the_type_of_the_setting(name: str, text: str, expected: Value) -> None:
    variable = next(setting.variable for setting in SETTINGS if setting.name == name)
    value = load_config(environment={variable: text}).values[name]
    assert value == expected
    assert type(value) is type(expected)


def test_every_type_can_be_written_in_toml(tmp_path: Path) -> None:
    text = '[kafka]\ninsecure = true\ngroup = "g"\n[state]\ncheckpoint_seconds = 2\n[engine]\nbad_share = 0.25\n'
    config = load_config(toml(tmp_path, text), {})
    assert config.flag("kafka.insecure") is True
    assert config.text("kafka.group") == "g"
    assert config.number("state.checkpoint_seconds") == 2.0
    assert config.number("engine.bad_share") == 0.25


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[engine]\nbatch_events = 2.5",
            "engine.batch_events is most records in one batch.*a whole number, at least 1",
        ),
        ("[engine]\nbatch_events = true", "expected a whole number"),
        ("[engine]\nbatch_events = 0", "at least 1"),
        ("[engine]\nbatch_events = [1]", "expected a whole number"),
        ("[engine]\nbad_share = 1.5", "a number from 0 to 1"),
        ("[engine]\nbad_share = nan", "a number from 0 to 1"),
        ("[engine]\nbad_share = true", "a number from 0 to 1"),
        ("[state]\ncheckpoint_seconds = inf", "expected a number, at least 0"),
        ("[http]\nport = 70000", "a whole number from -1 to 65535"),
        ("[kafka]\ninsecure = 1", "expected true or false"),
        ("[kafka]\ngroup = 7", "expected text"),
        ("[kafka]\ngroup = 2026-01-01", "expected text"),
        ('[engine]\ndelivery = "at_most_once"', "expected exactly_once or at_least_once"),
        ("[engine]\nbatchevents = 1", "engine.batchevents is not a setting; `assay config` lists them all"),
        ("batch_events = 1", "batch_events is not a setting"),
        ("engine = 1", "engine is not a setting"),
        ("[engine.batch]\nevents = 1", "engine.batch is not a setting"),
        ("[engine]\nbatch_events = 1\nbatch_events = 2", "expected TOML"),
        ("[engine", "expected TOML"),
    ],
)
def test_a_fault_of_the_file_is_one_line_that_names_it(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(AssayError, match=expected) as refused:
        load_config(toml(tmp_path, text), {})
    assert str(tmp_path / "assay.toml") in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("ASSAY_ENGINE_BATCH_EVENTS", "many"),
        ("ASSAY_ENGINE_BATCH_EVENTS", ""),
        ("ASSAY_ENGINE_BATCH_EVENTS", "1e3"),
        ("ASSAY_ENGINE_BATCH_EVENTS", "-1"),
        ("ASSAY_STATE_HOT_MEBIBYTES", "0"),
        ("ASSAY_ENGINE_BAD_SHARE", "NaN"),
        ("ASSAY_KAFKA_INSECURE", "perhaps"),
        ("ASSAY_ENGINE_DELIVERY", ""),
        ("ASSAY_HTTP_PORT", "65536"),
    ],
)
def test_a_fault_of_the_environment_is_one_line_that_names_it(variable: str, text: str) -> None:
    with pytest.raises(AssayError, match=f"^{variable}: .* expected ") as refused:
        load_config(environment={variable: text})
    assert "\n" not in str(refused.value)


def test_a_fault_of_the_command_line_says_so() -> None:
    with pytest.raises(AssayError, match="command line: engine.batch_events"):
        load_config(environment={}, overrides={"engine.batch_events": 0})
    with pytest.raises(AssayError, match="command line: engine.nonsense is not a setting"):
        load_config(environment={}, overrides={"engine.nonsense": 1})


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.toml", tmp_path):
        with pytest.raises(AssayError, match=f"expected a readable TOML file, got {path}"):
            load_config(path, {})
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(AssayError, match="expected TOML"):
        load_config(tmp_path / "bytes.toml", {})


def test_a_secret_comes_from_the_environment_or_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("from the file\n")
    from_file = {"ASSAY_KAFKA_PASSWORD_FILE": str(path)}
    assert load_config(environment={}).secret("kafka.password") == ""
    assert load_config(environment=from_file).secret("kafka.password") == "from the file"
    assert load_config(environment={**from_file, "ASSAY_KAFKA_PASSWORD": "x"}).secret("kafka.password") == "x"


@pytest.mark.parametrize("setting", SECRETS, ids=lambda setting: setting.name)
def test_a_secret_does_not_belong_into_the_file(tmp_path: Path, setting: object) -> None:
    name = next(one.name for one in SECRETS if one is setting)
    section, key = name.split(".")
    with pytest.raises(AssayError, match=f"{name} is a secret .*name a file that holds it in {name}_file") as refused:
        load_config(toml(tmp_path, f'[{section}]\n{key} = "hunter2"'), {})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff"])
def test_a_secret_file_without_a_secret_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    config = load_config(environment={"ASSAY_SECURITY_INTERNAL_KEY_FILE": str(path)})
    with pytest.raises(AssayError, match=f"security.internal_key_file: expected .* {path}") as refused:
        config.secret("security.internal_key")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_secrets_are_never_printed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, form: tuple[str, ...]) -> None:
    held = tmp_path / "key"
    held.write_text("hunter-in-a-file")
    for setting in SECRETS:
        monkeypatch.setenv(setting.variable, f"hunter-{setting.name}")
    monkeypatch.setenv("ASSAY_SECURITY_REDACTION_KEY_FILE", str(held))
    done = assay("config", *form)
    assert done.code == 0
    assert "hunter" not in done.output.decode() + done.errors
    assert "hunter" not in repr(load_config())
    shown = {row["name"]: row["value"] for row in orjson.loads(assay("config", "--json").output)}
    assert {shown[setting.name] for setting in SECRETS} == {"set"}
    for setting in SECRETS:
        monkeypatch.delenv(setting.variable)
    shown = {row["name"]: row["value"] for row in orjson.loads(assay("config", "--json").output)}
    assert {shown[setting.name] for setting in SECRETS} == {"not set"}


def test_every_setting_is_shown_with_value_origin_variable_and_meaning(tmp_path: Path) -> None:
    path = toml(tmp_path, "[engine]\nbatch_events = 3")
    rows = orjson.loads(assay("config", "--config", path, "--json").output)
    assert [row["name"] for row in rows] == [setting.name for setting in SETTINGS]
    by_name = {row["name"]: row for row in rows}
    for setting in SETTINGS:
        row = by_name[setting.name]
        assert (row["variable"], row["meaning"]) == (setting.variable, setting.meaning)
        if setting.name != "engine.batch_events":
            assert row["origin"] == "default"
    assert (by_name["engine.batch_events"]["value"], by_name["engine.batch_events"]["origin"]) == (3, str(path))
    table = assay("config", "--config", path).output.decode()
    for setting in SETTINGS:
        assert any(line.startswith(f"{setting.name} ") and setting.meaning in line for line in table.splitlines())


def test_every_setting_is_declared_once_and_in_words() -> None:
    names = [setting.name for setting in SETTINGS]
    assert len(names) == len(set(names)) == len({setting.variable for setting in SETTINGS})
    for setting in SETTINGS:
        assert setting.name.count(".") == 1
        assert len(setting.meaning.split()) >= 2
        if setting.secret:
            assert f"{setting.name}_file" in names
            assert setting.default == ""


def test_every_default_is_a_value_that_would_be_accepted() -> None:
    environment = {setting.variable: str(setting.default) for setting in SETTINGS}
    assert load_config(environment=environment).values == load_config(environment={}).values


def test_a_fault_of_the_settings_is_one_line_of_the_command(tmp_path: Path) -> None:
    fails_with(assay("config", "--config", toml(tmp_path, "[engine]\nnonsense = 1")), "engine.nonsense")
    fails_with(assay("config", "--config", tmp_path / "nowhere.toml"), "nowhere.toml")


def test_a_config_knows_its_types() -> None:
    config = Config({"a.b": 1}, {"a.b": "default"})
    assert (config.text("a.b"), config.whole("a.b"), config.number("a.b"), config.flag("a.b")) == ("1", 1, 1.0, True)
