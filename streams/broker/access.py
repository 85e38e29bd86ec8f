"""Users of an encrypted local broker: their passwords, what each may do, and how a client logs in."""

import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import AssayError
from streams.broker.private import write_private
from streams.connection import client_settings
from streams.topics import DEFAULT_PREFIX, TOPICS, Role

if TYPE_CHECKING:
    from confluent_kafka.admin import AclBinding, AdminClient

TIMEOUT_S = 20.0
ADMINISTRATOR = "admin"
ROLES: tuple[Role, ...] = ("producer", "engine", "warm", "operator", "reader")
USERS = (ADMINISTRATOR, *ROLES)
REPLAYS = "verdicts.replay."
"""Begins the names, after the prefix, of the topics that `assay replay` makes."""


def password_file(directory: Path, user: str) -> Path:
    """File that holds the password of `user`."""
    return directory / "clients" / f"{user}.password"


def authority_file(directory: Path) -> Path:
    """PEM file that every client trusts."""
    return directory / "clients" / "ca.pem"


def write_passwords(directory: Path) -> None:
    """Draw a password for every user, each into a file of its own that only its owner may read."""
    for user in USERS:
        write_private(password_file(directory, user), f"{secrets.token_urlsafe(24)}\n")


def read_password(directory: Path, user: str) -> str:
    """The password of `user`."""
    return password_file(directory, user).read_text().strip()


def user_settings(bootstrap: str, directory: Path, user: str) -> dict[str, str]:
    """Client settings with which `user` logs in."""
    return client_settings(
        bootstrap,
        security="sasl_ssl",
        username=user,
        password_file=password_file(directory, user),
        ca_file=authority_file(directory),
    )


def user_environment(bootstrap: str, directory: Path, user: str) -> dict[str, str]:
    """The same as environment variables of `assay`; the password is named by its file, not shown."""
    return {
        "ASSAY_KAFKA_BOOTSTRAP": bootstrap,
        "ASSAY_KAFKA_SECURITY": "sasl_ssl",
        "ASSAY_KAFKA_USERNAME": user,
        "ASSAY_KAFKA_PASSWORD_FILE": str(password_file(directory, user)),
        "ASSAY_KAFKA_CA_FILE": str(authority_file(directory)),
    }


def grant_rights(settings: dict[str, str], prefix: str = DEFAULT_PREFIX) -> None:
    """Give every role what the table of topics says, and nothing else. Doing it again changes nothing.

    Returns when the broker knows of it.

    Besides topics a role may use the consumer groups and transactional ids that begin with ``assay-<role>``. The
    operator may make topics for replays, and see (not change) what the groups of engine and warm path have committed.

    Args:
        settings: of a client of the administrator.
        prefix: of the topics.

    Raises:
        AssayError: Kafka refused.
    """
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import (
        AclBinding,
        AclOperation,
        AclPermissionType,
        AdminClient,
        ResourcePatternType,
        ResourceType,
    )

    exact, prefixed = ResourcePatternType.LITERAL, ResourcePatternType.PREFIXED
    read, write = AclOperation.READ, AclOperation.WRITE
    rights = []
    for role in ROLES:
        rights += [(role, ResourceType.TOPIC, prefix + t.name, exact, read) for t in TOPICS if role in t.readers]
        rights += [(role, ResourceType.TOPIC, prefix + t.name, exact, write) for t in TOPICS if role in t.writers]
        rights += [
            (role, ResourceType.GROUP, f"assay-{role}", prefixed, read),
            (role, ResourceType.TRANSACTIONAL_ID, f"assay-{role}", prefixed, write),
        ]
    create, describe = AclOperation.CREATE, AclOperation.DESCRIBE
    rights += [
        ("operator", ResourceType.TOPIC, prefix + REPLAYS, prefixed, operation) for operation in (create, read, write)
    ]
    rights += [("operator", ResourceType.GROUP, f"assay-{role}", prefixed, describe) for role in ("engine", "warm")]
    bindings = [
        AclBinding(kind, name, pattern, f"User:{role}", "*", operation, AclPermissionType.ALLOW)
        for role, kind, name, pattern, operation in rights
    ]
    client = AdminClient({**settings, "log_level": 0})
    try:
        for answer in client.create_acls(bindings, request_timeout=TIMEOUT_S).values():
            answer.result()
        deadline = time.monotonic() + TIMEOUT_S
        while not set(bindings) <= rights_in_force(client) and time.monotonic() < deadline:
            time.sleep(0.05)  # a broker learns of new rights some moments after the controller
    except KafkaException as error:
        raise AssayError(f"Kafka refused to grant rights: {error.args[0].str()}: run `assay broker up` again") from None


def rights_in_force(client: "AdminClient") -> "set[AclBinding]":
    """Every right that the broker knows of.

    Raises:
        KafkaException: it does not tell.
    """
    from confluent_kafka.admin import (
        AclBindingFilter,
        AclOperation,
        AclPermissionType,
        ResourcePatternType,
        ResourceType,
    )

    every = AclBindingFilter(
        ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
    )
    return set(client.describe_acls(every, request_timeout=TIMEOUT_S).result())
