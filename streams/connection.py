"""How every part of the engine connects to Kafka: options, client settings, and the refusal to go unprotected."""

import ipaddress
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from features.errors import AssayError

DEFAULT_BOOTSTRAP = "127.0.0.1:9092"
PASSWORD_VARIABLE = "ASSAY_KAFKA_PASSWORD"  # noqa: S105 - the name of a variable, not a password
PROTOCOLS = ("plaintext", "ssl", "sasl_ssl")
ADDRESSES = ("bootstrap.servers", "metadata.broker.list")  # one setting, two names


def _wrong_usage(check: Callable[[Any], object]) -> Callable[[Any], Any]:
    """Callback of an option: what `check` refuses is wrong usage."""

    def callback(value: Any) -> Any:
        try:
            check(value)
        except AssayError as error:
            raise typer.BadParameter(str(error)) from None
        return value

    return callback


def client_settings(
    bootstrap: str,
    *,
    security: str = "plaintext",
    username: str | None = None,
    password: str | None = None,
    password_file: Path | None = None,
    ca_file: Path | None = None,
    insecure: bool = False,
    settings: Sequence[str] = (),
) -> dict[str, str]:
    """Settings for any client of confluent-kafka, checked.

    Args:
        bootstrap: ``host:port``, several separated by commas.
        security: ``plaintext``, ``ssl`` or ``sasl_ssl``, in upper or lower case.
        username: SCRAM-SHA-512 user; only with ``sasl_ssl``.
        password: its password, if the caller has it already.
        password_file: holds it; without either the environment variable ``ASSAY_KAFKA_PASSWORD`` does.
        ca_file: PEM file of the certificate authority; None trusts those of the system.
        insecure: allow an unencrypted or unchecked connection to an address that is not loopback.
        settings: ``key=value`` each, last of all; they may not name other brokers.

    Raises:
        AssayError: an option does not fit, a file is missing, or the connection would leave this machine unprotected.

    >>> client_settings("127.0.0.1:9092")
    {'bootstrap.servers': '127.0.0.1:9092', 'security.protocol': 'PLAINTEXT'}
    """
    protocol = security.lower()
    if protocol not in PROTOCOLS:
        raise AssayError(f"--security expects one of {', '.join(PROTOCOLS)}, got {security!r}")
    hosts(bootstrap)
    result = {"bootstrap.servers": bootstrap, "security.protocol": protocol.upper()}
    if protocol == "sasl_ssl":
        if not username:
            raise AssayError("--security sasl_ssl expects a user: add --username (or ASSAY_KAFKA_USERNAME)")
        result["sasl.mechanisms"] = "SCRAM-SHA-512"
        result["sasl.username"] = username
        result["sasl.password"] = password or _password(password_file)
    if protocol != "plaintext" and ca_file is not None:
        if not ca_file.is_file():
            raise AssayError(f"{ca_file} (--ca-file) is not a file: name the PEM file of the certificate authority")
        result["ssl.ca.location"] = str(ca_file)
    result |= parse_settings(settings)
    refuse_unprotected(result, insecure=insecure)
    return result


def parse_settings(settings: Sequence[str]) -> dict[str, str]:
    """Client settings from ``key=value`` words.

    Raises:
        AssayError: a word has no ``=``, or names brokers.

    >>> parse_settings(["linger.ms=5"])
    {'linger.ms': '5'}
    """
    result = {}
    for word in settings:
        name, separator, value = word.partition("=")
        if not name or not separator:
            # the word may be a misplaced secret: it is not repeated
            raise AssayError("--setting expects KEY=VALUE, for example --setting socket.timeout.ms=3000")
        if name in ADDRESSES:
            raise AssayError(f"--setting {name} does not choose brokers: use --bootstrap")
        result[name] = value
    return result


def refuse_unprotected(settings: Mapping[str, str], *, insecure: bool) -> None:
    """Let a connection pass that is encrypted and checked, or stays on this machine, or was allowed with `insecure`.

    Raises:
        AssayError: it is none of these; events and passwords would be readable on the network.
    """
    if insecure:
        return
    protocol = settings.get("security.protocol", "plaintext").lower()
    if protocol not in ("ssl", "sasl_ssl"):
        fault = f"security.protocol={protocol} sends everything unencrypted"
    elif settings.get("enable.ssl.certificate.verification", "true").lower() == "false":
        fault = "enable.ssl.certificate.verification=false trusts whoever answers"
    elif settings.get("ssl.endpoint.identification.algorithm", "https").lower() == "none":
        fault = "ssl.endpoint.identification.algorithm=none trusts any server with some valid certificate"
    else:
        return
    for host in hosts(settings["bootstrap.servers"]):
        if not is_loopback(host):
            raise AssayError(
                f"{fault}, and {host} is not this machine: use --security sasl_ssl (ASSAY_KAFKA_SECURITY=sasl_ssl), "
                "or --insecure (ASSAY_KAFKA_INSECURE=true) on a network that is closed in itself"
            )


def is_loopback(host: str) -> bool:
    """Whether `host` is certainly this machine. Names other than ``localhost`` are not looked up.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "kafka", "10.0.0.1")]
    [True, True, True, False, False]
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def hosts(bootstrap: str) -> list[str]:
    """Host of each ``host:port`` in `bootstrap`.

    Raises:
        AssayError: some part is something else.

    >>> hosts("kafka-1:9092,[::1]:9093")
    ['kafka-1', '::1']
    """
    result = []
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise AssayError(f"--bootstrap expects HOST:PORT, several separated by commas, got {bootstrap!r}")
        result.append(host.removeprefix("[").removesuffix("]"))
    return result


def _password(file: Path | None) -> str:
    if file is None:
        password = os.environ.get(PASSWORD_VARIABLE, "")
        place = PASSWORD_VARIABLE
    else:
        if not file.is_file():
            raise AssayError(f"{file} (--password-file) is not a file: name the file that holds the SCRAM password")
        password = file.read_text().rstrip("\r\n")
        place = str(file)
    if not password:
        raise AssayError(f"--security sasl_ssl expects a password, {place} holds none: fill it, or use --password-file")
    return password


# One declaration of each option, for every command that connects. They stand last because two call a check above.
BootstrapOption = Annotated[
    str,
    typer.Option(
        "--bootstrap",
        metavar="HOST:PORT,…",
        envvar="ASSAY_KAFKA_BOOTSTRAP",
        help="Kafka brokers to ask first.",
        callback=_wrong_usage(hosts),
    ),
]
SecurityOption = Annotated[
    Literal["plaintext", "ssl", "sasl_ssl"],
    typer.Option(
        "--security",
        envvar="ASSAY_KAFKA_SECURITY",
        case_sensitive=False,
        help="Protocol; sasl_ssl is SCRAM-SHA-512 over TLS.",
    ),
]
UsernameOption = Annotated[str | None, typer.Option("--username", envvar="ASSAY_KAFKA_USERNAME", help="SCRAM user.")]
PasswordFileOption = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        envvar="ASSAY_KAFKA_PASSWORD_FILE",
        help=f"File with the SCRAM password; without it, the variable {PASSWORD_VARIABLE}.",
    ),
]
AuthorityFileOption = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        envvar="ASSAY_KAFKA_CA_FILE",
        help="PEM file of the certificate authority to trust; default: those of the system.",
    ),
]
InsecureOption = Annotated[
    bool,
    typer.Option(
        "--insecure", envvar="ASSAY_KAFKA_INSECURE", help="Allow an unprotected connection to another machine."
    ),
]
SettingOption = Annotated[
    list[str] | None,
    typer.Option(
        "--setting",
        metavar="KEY=VALUE",
        help="Any other client setting of librdkafka; may be repeated.",
        callback=_wrong_usage(lambda words: parse_settings(words or ())),
    ),
]
