"""``manage.py quickstart``: the whole hub in one terminal; with ``--demo`` it also does the main job before your eyes."""

import signal
import sys
import time
from argparse import ArgumentParser
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from hub.quickstart.demo import Demo, DemoFailed
from hub.quickstart.hub_client import HubClient, HubRefused
from hub.quickstart.processes import ProcessFailed, manage
from hub.quickstart.stack import Stack, StackError, StackSettings

WATCH_INTERVAL = 1.0


class Command(BaseCommand):
    help = "Runs the whole hub on this machine: databases, web, stream, worker, watcher. State: PADDOCK_HOME."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--demo", action="store_true", help="simulate two Harvester clusters and order a guest cluster"
        )
        parser.add_argument(
            "--once", action="store_true", help="with --demo: end after the job, 0 only if all of it worked"
        )
        parser.add_argument("--distribution", choices=["k3s", "rke2"], default="k3s", help="with --demo: what to order")

    def handle(self, *args: Any, demo: bool, once: bool, distribution: str, **options: Any) -> None:
        signal.signal(signal.SIGTERM, _interrupt)
        began = time.monotonic()
        try:
            with Stack(StackSettings.from_environment(), simulate=demo) as stack:
                self._say(
                    f"The hub is up after {time.monotonic() - began:.1f} s; its logs are in {stack.processes.logs}"
                )
                if demo:
                    self._run_demo(stack, distribution)
                if not once:
                    self._tell_addresses(stack)
                    self._stay(stack)
        except (StackError, ProcessFailed, DemoFailed, HubRefused) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self._say("Stopped.")
            if once:
                sys.exit(130)

    def _run_demo(self, stack: Stack, distribution: str) -> None:
        token = stack.processes.run(
            "token", manage("issue_token", "demo", "--administrator", "--name", "demo", "--days", "1"), timeout=60
        )
        client = HubClient(stack.local_url, stack.ca_file, token.strip())
        job = Demo(client, stack.kubeconfigs, stack.home, distribution, say=self._say, revive=stack.processes.revive)
        job.run()

    def _tell_addresses(self, stack: Stack) -> None:
        settings = stack.settings
        self._say(f"\nLogin:    {settings.url}/login")
        if stack.first_password:
            self._say(f"          admin, one-time password {stack.first_password} (to be changed at the first login)")
        self._say(f"API:      {settings.url}/api/v1")
        if stack.ca_file:
            self._say(f"CA:       {stack.ca_file}")
        if settings.listen_host in {"127.0.0.1", "localhost", "::1"}:
            self._say(
                "From another machine: stop, then start again with PADDOCK_LISTEN=0.0.0.0:8443 and "
                "PADDOCK_URL=https://NAME-OF-THIS-MACHINE:8443"
            )
        self._say("Ctrl-C stops everything; the next start goes on with the same state.")

    def _stay(self, stack: Stack) -> None:
        while True:
            for name in stack.processes.revive():
                self._say(f"{name} had ended and was started again; see {stack.processes.logs / name}.log")
            time.sleep(WATCH_INTERVAL)

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
