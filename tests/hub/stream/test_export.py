"""A long export through gunicorn and the public port: whole, and in constant memory at every station."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.conf import settings

from hub.audit.models import AuditEvent
from hub.audit.services import build_event
from hub.core.access import SYSTEM
from tests.hub.builders import make_actor
from tests.hub.stream.conftest import Served, bearer, token_of
from tests.hub.stream.raw_client import render

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.servers]

EVENTS = 5_000
MEMORY_LIMIT = 24 * 1024 * 1024  # the export itself has 25 MB and more


def resident(pid: int) -> int:
    """Bytes of memory that a process has now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_an_export_of_any_length_arrives_whole_and_is_held_nowhere(served: Served, database_url: str) -> None:
    _, text = token_of(make_actor("hub-admin"))
    detail = dict.fromkeys("abcde", "x" * 1000)
    AuditEvent.objects.bulk_create(
        [build_event(SYSTEM, "update", "pumps", object_name=f"p{number}", detail=detail) for number in range(EVENTS)],
        batch_size=1000,
    )
    socket = served.server._settings.web_socket_path
    command = [sys.executable, "-m", "gunicorn", "hub.config.wsgi", "--bind", f"unix:{socket}"]
    options = ["--worker-class", "gthread", "--threads", "4", "--no-control-socket"]
    environment = {**os.environ, "DATABASE_URL": database_url}
    with subprocess.Popen([*command, *options], cwd=settings.BASE_DIR, env=environment) as gunicorn:
        try:
            _until_alive(served)
            worker = int(Path(f"/proc/{gunicorn.pid}/task/{gunicorn.pid}/children").read_text().split()[0])
            _export(served, text, query="?object_name=p1")  # what is loaded once is loaded
            before = resident(worker), resident(os.getpid())
            count, received, peak = _export(served, text, query="?resource=pumps", watched=(worker, os.getpid()))
        finally:
            gunicorn.terminate()
            gunicorn.wait(timeout=20)
    assert count == EVENTS
    assert received > 25_000_000
    assert peak[0] - before[0] < MEMORY_LIMIT
    assert peak[1] - before[1] < MEMORY_LIMIT


def _until_alive(served: Served) -> None:
    deadline = time.monotonic() + 30
    while served.ask("GET", "/livez", "").status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _export(served: Served, token: str, *, query: str, watched: tuple[int, ...] = ()) -> tuple[int, int, list[int]]:
    """Events and bytes that came, and the most memory that each process had meanwhile; the client is not the fastest."""
    count = received = 0
    peak = [0] * len(watched)
    with served.client() as client:
        client.sock.settimeout(30)
        client.send(render("GET", f"/api/v1/audit-events/export{query}", *bearer(token), "Connection: close"))
        reader = client.sock.makefile("rb")
        assert reader.readline().split()[1] == b"200"
        head = dict(line.split(b": ", 1) for line in iter(reader.readline, b"\r\n"))
        assert {name.lower() for name in head} >= {b"transfer-encoding"}
        rest = b""
        while size := int(reader.readline(), 16):
            chunk = reader.read(size)
            reader.readline()
            received += size
            *lines, rest = (rest + chunk).split(b"\n")
            count += len([json.loads(line)["id"] for line in lines])
            peak = [max(most, resident(pid)) for most, pid in zip(peak, watched, strict=True)]
    return count, received, peak
