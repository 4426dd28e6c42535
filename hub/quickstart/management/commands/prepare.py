"""``manage.py prepare``: brings an installation to this version; run again it changes nothing.

Migrates the database and makes the first administrator, whose one-time password is the only thing it prints. With
``--make-files`` it first makes what the settings name and nobody gave: the master keys and a certificate of an own CA.
"""

import socket
from argparse import ArgumentParser
from typing import Any
from urllib.parse import urlsplit

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from hub.access.services import ensure_first_admin
from hub.core.environment import Environment, environment
from hub.core.keys import ensure_keys_file
from hub.quickstart.certificates import ensure_server_certificate


class Command(BaseCommand):
    help = "Migrates the database and makes the first administrator; prints his one-time password."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--make-files", action="store_true", help="make missing keys and an own certificate")

    def handle(self, *args: Any, make_files: bool, **options: Any) -> None:
        if make_files:
            self._make_files(environment())
        call_command("migrate", interactive=False, verbosity=0)
        _, password = ensure_first_admin()
        if password:
            self.stdout.write(password)

    def _make_files(self, settings: Environment) -> None:
        if settings.keys_file is None or settings.tls_cert_file is None:
            raise CommandError("--make-files needs PADDOCK_KEYS_FILE and PADDOCK_TLS_CERT_FILE to know where.")
        ensure_keys_file(settings.keys_file)
        if settings.tls_ca_file is not None:  # our own authority; a given certificate comes without one
            names = {"localhost", "127.0.0.1", "::1", socket.gethostname(), str(urlsplit(settings.url).hostname)}
            ensure_server_certificate(settings.tls_cert_file.parent, names)
