"""TLS contexts for Kubernetes APIs: verification is always on, and key material leaves no file behind."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from kube.credentials import Credentials
from kube.errors import TlsRefused


def client_context(credentials: Credentials) -> ssl.SSLContext:
    """A context that trusts the credentials' CA alone (or the system's) and shows their client certificate.

    Raises TlsRefused when the CA or the certificate and key cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # As Go does, and so kubectl: each certificate in the CA bundle is an anchor, also an intermediate one.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        if credentials.ca_pem is None:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        else:
            context.load_verify_locations(cadata=credentials.ca_pem)
    except (ssl.SSLError, ValueError) as error:
        raise TlsRefused("The CA is not a PEM certificate") from error
    if credentials.client_cert_pem is not None and credentials.client_key_pem is not None:
        _load_client_certificate(context, credentials.client_cert_pem, credentials.client_key_pem)
    return context


def _load_client_certificate(context: ssl.SSLContext, cert_pem: str, key_pem: str) -> None:
    # OpenSSL takes certificate and key from a file only.
    with _unlinked_file(f"{cert_pem.rstrip()}\n{key_pem.rstrip()}\n".encode()) as path:
        try:
            context.load_cert_chain(path, password=_refuse_password)
        except (ssl.SSLError, ValueError) as error:
            raise TlsRefused("The client certificate and its key cannot be used together") from error


def _refuse_password() -> str:
    """Instead of OpenSSL asking on the terminal for the password of an encrypted key."""
    raise ValueError("The client key is encrypted")


@contextmanager
def _unlinked_file(content: bytes) -> Iterator[str]:
    """A path at which ``content`` can be read meanwhile: anonymous memory where the system has it."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
        try:
            with os.fdopen(descriptor, "wb", closefd=False) as memory:
                memory.write(content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile(prefix="paddock-", mode="wb") as file:  # created 0600, removed on exit
            file.write(content)
            file.flush()
            yield file.name
