"""``manage.py issue_token USER``: an API token from the server's own shell, for scripts and for breaking glass."""

import datetime
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from hub.audit.console import console
from hub.identity.models import User
from hub.identity.tokens import issue_token


class Command(BaseCommand):
    help = "Issues an API token for a local user and prints it once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", default="command line")
        parser.add_argument("--days", type=int, default=1)

    def handle(self, *args: Any, username: str, name: str, days: int, **options: Any) -> None:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no user {username!r}.")
        _, token = issue_token(console(), user, name=name, lifetime=datetime.timedelta(days=days))
        self.stdout.write(token)
