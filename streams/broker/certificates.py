"""A certificate authority for one local broker, and the one certificate it ever signs, made with openssl."""

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from features.errors import AssayError
from streams.broker.java import find_program
from streams.broker.private import write_private
from streams.broker.properties import CERTIFICATE_NAME

VALID_DAYS = 3650
NEW_KEY = ("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")


def make_certificates(server: Path, authority: Path) -> None:
    """Write `server` (key, certificate and authority, PEM, owner only) and `authority` (certificate to trust, PEM).

    The authority's private key is thrown away: nobody can sign a second certificate that these nodes trust.

    Raises:
        AssayError: openssl is missing or refuses.
    """
    openssl = find_program("openssl", "to make the certificates of --security sasl_ssl", "openssl")
    # fmt: off
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        (directory / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        for step in (
            (*NEW_KEY, "-out", "ca.key"),
            ("req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=assay local broker authority",
             "-days", str(VALID_DAYS), "-out", "ca.pem"),
            (*NEW_KEY, "-out", "server.key"),
            ("req", "-new", "-key", "server.key", "-subj", f"/CN={CERTIFICATE_NAME}", "-out", "server.request"),
            ("x509", "-req", "-in", "server.request", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
             "-days", str(VALID_DAYS), "-extfile", "names", "-out", "server.pem"),
        ):
            _run([str(openssl), *step], directory)
        chain = ("server.key", "server.pem", "ca.pem")
        write_private(server, "".join((directory / name).read_text() for name in chain))
        authority.write_text((directory / "ca.pem").read_text())
    # fmt: on


def _run(command: Sequence[str], directory: Path) -> None:
    answer = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        lines = answer.stderr.strip().splitlines() or ["it gave no reason"]
        raise AssayError(
            f"`{' '.join(command[:2])}` ended with code {answer.returncode} while making certificates: {lines[-1]}: "
            f"install OpenSSL 1.1.1 or newer, or leave out --security"
        )
