"""Every setting, declared once: key in the TOML file, environment variable, default, meaning.

Precedence: command line, environment (``ASSAY_`` + section + ``_`` + key, capitals), TOML file, default. `assay config`
prints what is in force and where each value came from. Secrets come from the environment or from files of their own,
never from the TOML file; they are never printed.
"""

import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from features.errors import AssayError
from models.watch_limits import BREAKER_ACTIONS

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        name: ``section.key``.
        default: its type is the setting's type.
        meaning: for people, in a few words.
        secret: never printed, and not taken from the TOML file.
        least: smallest number allowed.
        most: largest number allowed.
        choices: texts allowed; empty for any.
    """

    name: str
    default: Value
    meaning: str
    secret: bool = False
    least: float = 0
    most: float = math.inf
    choices: tuple[str, ...] = ()

    @property
    def variable(self) -> str:
        """Environment variable.

        >>> Setting("engine.batch_events", 1, "").variable
        'ASSAY_ENGINE_BATCH_EVENTS'
        """
        return "ASSAY_" + self.name.replace(".", "_").upper()


SETTINGS: tuple[Setting, ...] = (
    Setting("kafka.bootstrap", "127.0.0.1:9092", "bootstrap servers"),
    Setting("kafka.group", "assay-engine", "consumer group"),
    Setting("kafka.slot", "0", "this worker's slot: unique per running worker and stable over restarts"),
    Setting("kafka.static_membership", True, "keep partitions over a quick restart (group.instance.id)"),
    Setting("kafka.session_timeout_ms", 10_000, "a silent worker loses its partitions after this", least=1),
    Setting("kafka.insecure", False, "allow an unprotected connection to another machine"),
    Setting("kafka.security", "plaintext", "plaintext, ssl or sasl_ssl"),
    Setting("kafka.username", "", "SCRAM user"),
    Setting("kafka.password", "", "SCRAM password", secret=True),
    Setting("kafka.password_file", "", "a file that holds it"),
    Setting("kafka.ca_file", "", "PEM file of the certificate authority to trust"),
    Setting("topics.prefix", "fraud.", "prefix of every topic"),
    Setting("engine.batch_events", 2_000, "most records in one batch; never shows in a result", least=1),
    Setting(
        "engine.delivery",
        "exactly_once",
        "exactly_once or at_least_once",
        choices=("exactly_once", "at_least_once"),
    ),
    Setting("engine.transaction_timeout_ms", 15_000, "a transaction open for longer ends the worker", least=1),
    Setting(
        "engine.bad_share", 0.5, "a run stops when more than this share of the last 1,000 records is refused", most=1
    ),
    Setting(
        "engine.catch_up_records",
        300_000,
        "a partition that has to fold more again is folded in a process of its own; 0: never",
    ),
    Setting("engine.catch_up_processes", 0, "most such processes at once; 0: one per usable core, at most 4"),
    Setting("engine.accept_gap", False, "go on although the log dropped records that were never judged"),
    Setting("telemetry.every_seconds", 1.0, "least time between two summaries of a partition"),
    Setting("telemetry.sample_one_in", 64, "features of one in so many events are counted for it; 0: no telemetry"),
    Setting("state.directory", "state", "where the account state lives"),
    Setting("state.checkpoint_seconds", 10.0, "time between two checkpoints"),
    Setting("state.hot_mebibytes", 512, "memory for hot accounts of the whole worker", least=1),
    Setting("snapshots.url", "", "where states are kept for other machines: a directory or any fsspec URL; empty: off"),
    Setting("snapshots.every_seconds", 900.0, "time between two snapshots of a partition", least=1),
    Setting("snapshots.keep", 48, "newest snapshots kept of each partition", least=1),
    Setting("models.directory", "artefacts", "where models are looked up by id"),
    Setting("models.first", "", "model in force at the beginning of the log: id or directory; empty: the one shipped"),
    Setting("http.address", "127.0.0.1", "address of /metrics, /healthz and /readyz"),
    Setting(
        "http.port",
        9108,
        "port of /metrics, /healthz and /readyz; 0 chooses a free one, -1 is off",
        least=-1,
        most=65_535,
    ),
    Setting("warm.group", "assay-warm", "consumer group of the warm path"),
    Setting("warm.directory", "warm", "where the warm path keeps its tables; they can be made anew from Kafka"),
    Setting(
        "warm.http_port",
        9109,
        "port of /metrics, /healthz and /readyz of the warm path; 0 chooses a free one, -1 is off",
        least=-1,
        most=65_535,
    ),
    Setting("warm.entities_seconds", 60, "so often the state of the entities is written to warm.directory", least=1),
    Setting(
        "warm.stalled_seconds",
        60.0,
        "a worker of the warm path whose commits stand still so long ends",
        least=10,
    ),
    Setting(
        "warm.breaker_action",
        "step_up",
        "what decides while the breaker is open; none: the model goes on, it is only told",
        choices=BREAKER_ACTIONS,
    ),
    Setting("alerts.repeat_hours", 4.0, "an alert that goes on is told again after so long", least=0.1),
    Setting("alerts.webhook", "", "https address that alerts are posted to; http on this machine only; empty: off"),
    Setting("alerts.webhook_token", "", "sent to it as a bearer token", secret=True),
    Setting("alerts.webhook_token_file", "", "a file that holds that token"),
    Setting("tracing.endpoint", "", "https address of a collector that takes OTLP, with its path; empty: no tracing"),
    Setting("tracing.insecure", False, "allow an unprotected connection to a collector on another machine"),
    Setting("tracing.sample_ratio", 0.1, "share of the traces that begin here of which spans are made", most=1),
    Setting("console.address", "127.0.0.1", "address of the console"),
    Setting("console.port", 9111, "port of the console; 0 chooses a free one", most=65_535),
    Setting("console.hosts", "", "further names that the console is reached by, separated by commas"),
    Setting("console.token", "", "who may act, `name:token` separated by blanks; empty: nobody", secret=True),
    Setting("console.token_file", "", "a file that holds that"),
    Setting("console.open_reading", False, "let everybody read on another address than this machine's own"),
    Setting("console.secure_cookie", False, "send the cookie over https only; set it behind a proxy that encrypts"),
    Setting("console.history_hours", 24.0, "verdicts of so many hours are read at the start", least=0.1),
    Setting("console.verdicts", 100_000, "newest verdicts kept in memory", least=1_000, most=2_000_000),
    Setting("console.review_capacity", 50, "events that analysts look at in a day", least=1),
    Setting("console.replay_records", 500_000, "largest range that the console replays", least=1),
    Setting("security.internal_key", "", "key that signs labels and markers in the log", secret=True),
    Setting("security.internal_key_file", "", "a file that holds that key"),
    Setting("security.trust_internal", False, "accept labels and markers without a signature"),
    Setting("security.redaction_key", "", "key of the hash that stands for a refused card number", secret=True),
    Setting("security.redaction_key_file", "", "a file that holds that key"),
)

_BY_NAME = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True)
class Config:
    """Settings in force, with where each came from."""

    values: Mapping[str, Value] = field(repr=False)
    origins: Mapping[str, str]

    def text(self, name: str) -> str:
        """A setting of type text."""
        return str(self.values[name])

    def whole(self, name: str) -> int:
        """A whole number."""
        return int(self.values[name])

    def number(self, name: str) -> float:
        """A number."""
        return float(self.values[name])

    def flag(self, name: str) -> bool:
        """A yes or no."""
        return bool(self.values[name])

    def secret(self, name: str) -> str:
        """A secret: its own value, else what the file of ``<name>_file`` holds, else empty.

        Raises:
            AssayError: the file cannot be read, or is empty.
        """
        value = self.text(name)
        path = self.text(f"{name}_file")
        if value or not path:
            return value
        try:
            value = Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise AssayError(f"{name}_file: expected a readable file, got {path} ({error.strerror})") from None
        except UnicodeDecodeError:
            raise AssayError(f"{name}_file: expected text in UTF-8, got other bytes in {path}") from None
        if not value:
            raise AssayError(f"{name}_file: expected a secret, got an empty file {path}")
        return value


def load_config(
    path: Path | None = None,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, Value | None] | None = None,
) -> Config:
    """Read every setting; None among `overrides` means "not given on the command line".

    Raises:
        AssayError: a file that cannot be read, a key that is not a setting, a value of the wrong type or out of range,
            a secret in the file.

    >>> load_config(environment={"ASSAY_ENGINE_BATCH_EVENTS": "7"}).whole("engine.batch_events")
    7
    """
    environment = os.environ if environment is None else environment
    if path is None and environment.get("ASSAY_CONFIG"):
        path = Path(environment["ASSAY_CONFIG"])
    values: dict[str, Value] = {setting.name: setting.default for setting in SETTINGS}
    origins = dict.fromkeys(values, "default")
    if path is not None:
        for name, value in _flattened(_read(path)).items():
            setting = _setting(name, str(path))
            if setting.secret:
                raise AssayError(
                    f"{path}: {name} is a secret and does not belong into this file: set {setting.variable}, or name a "
                    f"file that holds it in {name}_file"
                )
            values[name] = _typed(setting, value, str(path))
            origins[name] = str(path)
    for setting in SETTINGS:
        if setting.variable in environment:
            values[setting.name] = _typed(setting, environment[setting.variable], setting.variable)
            origins[setting.name] = setting.variable
    for name, given in (overrides or {}).items():
        if given is not None:
            values[name] = _typed(_setting(name, "command line"), given, "command line")
            origins[name] = "command line"
    return Config(values, origins)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AssayError(f"configuration: expected a readable TOML file, got {path} ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise AssayError(f"configuration {path}: expected TOML: {error}") from None


def _flattened(table: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for section, keys in table.items():
        if not isinstance(keys, dict):
            flat[section] = keys
            continue
        for key, value in keys.items():
            flat[f"{section}.{key}"] = value
    return flat


def _setting(name: str, origin: str) -> Setting:
    if name not in _BY_NAME:
        raise AssayError(f"{origin}: {name} is not a setting; `assay config` lists them all")
    return _BY_NAME[name]


def _typed(setting: Setting, value: Any, origin: str) -> Value:
    wanted = type(setting.default)
    typed: Value | None
    if wanted is bool:
        typed, expected = _as_bool(value), "true or false"
    elif wanted is str:
        typed, expected = value if isinstance(value, str) else None, "text"
        if setting.choices and typed not in setting.choices:
            typed, expected = None, " or ".join(setting.choices)
    else:
        typed, expected = _as_number(value, wanted), "a whole number" if wanted is int else "a number"
        if typed is not None and not setting.least <= typed <= setting.most:
            typed = None
        if setting.most < math.inf:
            expected += f" from {setting.least:g} to {setting.most:g}"
        else:
            expected += f", at least {setting.least:g}"
    if typed is None:
        raise AssayError(f"{origin}: {setting.name} is {setting.meaning}; expected {expected}")
    return typed


def _as_bool(value: Any) -> bool | None:
    if isinstance(value, str) and value.lower() in ("true", "1", "yes", "false", "0", "no"):
        return value.lower() in ("true", "1", "yes")
    return value if isinstance(value, bool) else None


def _as_number(value: Any, wanted: type) -> int | float | None:
    """A number from text or from TOML; nothing is rounded, and true is not 1."""
    if isinstance(value, bool) or (wanted is int and isinstance(value, float)):
        return None
    try:
        number: int | float = wanted(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
