"""``manage.py login_link USER``: a one-time link that logs a user in, for when no other way is left."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from hub.audit.console import console
from hub.core.environment import environment
from hub.core.errors import HubError
from hub.identity.login_links import LIFETIME, make_login_link
from hub.identity.models import User


class Command(BaseCommand):
    help = "Prints a link that logs this user in once, within fifteen minutes, without password and second factor."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, username: str, **options: Any) -> None:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no user {username!r}.")
        try:
            link = make_login_link(console(), user)
        except HubError as error:
            raise CommandError(f"{error.title}: {username!r} is disabled, or a service account.") from error
        self.stderr.write(
            f"Good once, for {int(LIFETIME.total_seconds() // 60)} minutes. Whoever has it is {username}."
        )
        self.stdout.write(f"{environment().url}/login/link/{link}")
