"""``manage.py prepare``: brings the database to this version and makes the first administrator.

Prints the one-time password when it made one, and nothing else; run again it changes nothing.
"""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from hub.identity.services import ensure_first_admin


class Command(BaseCommand):
    help = "Migrates the database and makes the first administrator; prints his one-time password."

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        _, password = ensure_first_admin()
        if password:
            self.stdout.write(password)
