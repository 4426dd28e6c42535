"""``manage.py issue_token USER``: an API token from the server's own shell, for programs.

With ``--administrator`` the user is made when there is none of this name: one that has no password, so that nobody logs in
as it.
"""

import datetime
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from hub.access.built_in_roles import HUB_ADMIN
from hub.access.services import bind_role
from hub.audit.console import console
from hub.identity.models import User
from hub.identity.services import create_user
from hub.identity.tokens import issue_token


class Command(BaseCommand):
    help = "Issues an API token for a local user and prints it once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", default="command line")
        parser.add_argument("--days", type=int, default=1)
        parser.add_argument("--administrator", action="store_true", help="make the user, an administrator, if missing")

    def handle(self, *args: Any, username: str, name: str, days: int, administrator: bool, **options: Any) -> None:
        user = User.objects.filter(username=username).first()
        if user is None and administrator:
            user = _make_administrator(username)
        if user is None:
            raise CommandError(f"There is no user {username!r}.")
        if user.must_change_password:
            raise CommandError(
                f"{username!r} has to change the password first (at /login); until then a token opens nothing."
            )
        _, token = issue_token(console(), user, name=name, lifetime=datetime.timedelta(days=days))
        self.stdout.write(token)


def _make_administrator(username: str) -> User:
    with transaction.atomic():
        user = create_user(console(), username)
        bind_role(console(), HUB_ADMIN.name, user)
    return user
