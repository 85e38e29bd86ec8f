"""Nothing leaves this machine unprotected unless somebody said so."""

from pathlib import Path

import pytest

from features.errors import AssayError
from streams.connection import PASSWORD_VARIABLE, client_settings, hosts, parse_settings


@pytest.mark.parametrize("bootstrap", ["127.0.0.1:9092", "localhost:1,127.8.0.1:2", "[::1]:9092", "LOCALHOST:9092"])
def test_loopback_may_be_unencrypted(bootstrap: str) -> None:
    assert client_settings(bootstrap)["bootstrap.servers"] == bootstrap


@pytest.mark.parametrize("bootstrap", ["kafka:9092", "10.0.0.1:9092", "127.0.0.1:1,kafka:2", "localhost.example:9092"])
def test_another_machine_must_be_encrypted_or_allowed(bootstrap: str) -> None:
    with pytest.raises(AssayError, match=r"unencrypted, and .* is not this machine: use --security sasl_ssl"):
        client_settings(bootstrap)
    assert client_settings(bootstrap, insecure=True)["security.protocol"] == "PLAINTEXT"
    assert client_settings(bootstrap, security="ssl")["security.protocol"] == "SSL"


@pytest.mark.parametrize(
    "setting",
    [
        "security.protocol=PLAINTEXT",
        "security.protocol=sasl_plaintext",
        "enable.ssl.certificate.verification=False",
        "ssl.endpoint.identification.algorithm=none",
    ],
)
def test_no_other_setting_takes_the_protection_away(setting: str) -> None:
    with pytest.raises(AssayError, match="kafka is not this machine"):
        client_settings("kafka:9092", security="ssl", settings=[setting])


@pytest.mark.parametrize("name", ["bootstrap.servers", "metadata.broker.list"])
def test_no_other_setting_names_brokers(name: str) -> None:
    with pytest.raises(AssayError, match="use --bootstrap"):
        client_settings("127.0.0.1:9092", settings=[f"{name}=kafka:9092"])


@pytest.mark.parametrize("bootstrap", ["", "kafka", "kafka:", ":9092", "kafka:0", "kafka:65536", "a:1,", "ssl://a:1"])
def test_an_address_needs_a_host_and_a_port(bootstrap: str) -> None:
    with pytest.raises(AssayError, match="expects HOST:PORT"):
        hosts(bootstrap)


def test_a_password_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "password"
    file.write_text("from file\n")
    monkeypatch.setenv(PASSWORD_VARIABLE, "from environment")

    def password(file: Path | None) -> str:
        settings = client_settings("kafka:9092", security="SASL_SSL", username="engine", password_file=file)
        assert settings["sasl.mechanisms"] == "SCRAM-SHA-512"
        return settings["sasl.password"]

    assert password(file) == "from file"
    assert password(None) == "from environment"
    monkeypatch.delenv(PASSWORD_VARIABLE)
    with pytest.raises(AssayError, match=f"{PASSWORD_VARIABLE} holds none"):
        password(None)
    with pytest.raises(AssayError, match="--password-file"):
        password(tmp_path / "absent")


def test_faults_of_options_are_named(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match="expects one of plaintext, ssl, sasl_ssl, got 'tls'"):
        client_settings("kafka:9092", security="tls")
    with pytest.raises(AssayError, match="add --username"):
        client_settings("kafka:9092", security="sasl_ssl")
    with pytest.raises(AssayError, match=r"absent\.pem .* is not a file"):
        client_settings("kafka:9092", security="ssl", ca_file=tmp_path / "absent.pem")


def test_a_word_that_is_no_setting_is_not_repeated() -> None:
    with pytest.raises(AssayError) as caught:
        parse_settings(["hunter2"])
    assert "hunter2" not in str(caught.value)
