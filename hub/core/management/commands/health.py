"""``manage.py health PROCESS``: exit code 0 when the process of that kind on this machine works. For containers."""

import http.client
import socket
import ssl
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from celery import Celery
from django.core.management.base import BaseCommand, CommandError

from hub.core.broker import broker_url
from hub.core.environment import environment
from hub.core.heartbeat import seconds_since_beat

TIMEOUT = 5.0
OLDEST_BEAT = 45.0


class Command(BaseCommand):
    help = "Ends with 0 when the process works."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("process", choices=sorted(_CHECKS))

    def handle(self, *args: Any, process: str, **options: Any) -> None:
        try:
            problem = _CHECKS[process]()
        except (OSError, http.client.HTTPException) as error:
            problem = str(error)
        if problem:
            raise CommandError(f"{process}: {problem}")


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over the web process's unix socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(str(environment().web_socket_path))


def _check_web() -> str:
    return _problem_of(_SocketConnection("localhost", timeout=TIMEOUT))


def _check_stream() -> str:
    settings = environment()
    context = ssl.create_default_context(cafile=settings.tls_ca_file)
    context.check_hostname = False  # it is asked on loopback, by a name that a given certificate need not have
    return _problem_of(
        http.client.HTTPSConnection("127.0.0.1", settings.listen_address[1], timeout=TIMEOUT, context=context)
    )


def _check_watcher() -> str:
    age = seconds_since_beat("watcher")
    if age is None:
        return "it has not begun"
    return f"no sign of life for {age:.0f} s" if age > OLDEST_BEAT else ""


def _check_worker() -> str:
    app = Celery(broker=broker_url())
    name = f"celery@{socket.gethostname()}"
    answers = app.control.ping(destination=[name], timeout=TIMEOUT)
    return "" if answers else "it does not answer"


def _problem_of(connection: http.client.HTTPConnection) -> str:
    connection.request("GET", "/livez")
    status = connection.getresponse().status
    connection.close()
    return "" if status == http.HTTPStatus.OK else f"/livez answers {status}"


_CHECKS: dict[str, Callable[[], str]] = {
    "web": _check_web,
    "stream": _check_stream,
    "watcher": _check_watcher,
    "worker": _check_worker,
}
