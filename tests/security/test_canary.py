"""SEC-01 to SEC-06, SEC-13: a canary in every input that takes a secret, and none in anything that comes out.

Routes, models, filters and tables are enumerated, so what is added later is searched too.
"""

import base64
import io
import json
import logging
import logging.config
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.test import Client, TestCase
from django.urls import URLPattern, URLResolver, get_resolver
from pytest_django import DjangoDbBlocker

from hub.access.permissions import RESOURCES
from hub.api.listing import IdFilter
from hub.audit.models import AuditEvent
from hub.core import broker, work
from hub.core.ids import uuid7
from hub.core.logs import build_logging
from hub.core.models import Change
from hub.federation.models import Cluster
from hub.identity.sessions import COOKIE
from hub.operations.models import LogLine, Operation
from tests.hub.api.callers import Caller
from tests.security.planting import Planted, sealed_columns
from tests.workers.stage import set_stage
from workers import runtime
from workers.reconcilers.registry import reconcilers

pytestmark = [pytest.mark.django_db, pytest.mark.servers]  # plants and reads everything: seconds

MOST_ROWS = 15
SENT: list[Any] = []
"""What went to the broker while the canaries were planted."""


def note_payload(payload: Any) -> bool:
    """Stands in for the broker."""
    SENT.append(payload)
    return True


@pytest.fixture(scope="module")
def log() -> Iterator[io.StringIO]:
    """All that the hub's own logging prints at its most talkative, from the planting to the end."""
    stream = io.StringIO()
    configuration = build_logging("debug", "json")
    formatter = logging.config.DictConfigurator(configuration).configure_formatter(configuration["formatters"]["line"])
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture(scope="module")
def planted(
    log: io.StringIO, django_db_setup: None, django_db_blocker: DjangoDbBlocker, pumps: None
) -> Iterator[Planted]:
    """One estate for all tests of this module, because planting takes seconds: what a test does to it is undone after it."""
    whole: Any = transaction.atomic()
    whole._from_testcase = True  # as a test's own transaction, so that durable ones may run inside
    with django_db_blocker.unblock(), whole, pytest.MonkeyPatch.context() as patch:
        set_stage(patch)
        patch.setattr(broker, "send_hint", note_payload)
        with TestCase.captureOnCommitCallbacks(execute=True):
            made = Planted()
        yield made
        transaction.set_rollback(True)


def gets() -> Iterator[tuple[str, Any]]:
    """(path, view class or None) of everything that can be read."""
    yield from _walk(get_resolver().url_patterns, "/")


def _walk(patterns: list[URLPattern | URLResolver], prefix: str) -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        path = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, path)
        elif "get" in getattr(pattern.callback, "actions", {"get": ""}):
            yield path, getattr(pattern.callback, "cls", None)


def addresses(path: str, view: Any) -> Iterator[str]:
    """The path with every id that there is put in for ``<str:pk>``; other parameters name nothing."""
    resource = getattr(view, "resource", None)
    if "<str:pk>" in path:
        model = RESOURCES[str(resource)].model if resource else None
        rows = apps.get_model(model)._base_manager.all() if model else []
        first = path.removeprefix("/api/v1/").partition("/")[0]
        if first in RESOURCES and RESOURCES[first].model:
            rows = apps.get_model(str(RESOURCES[first].model))._base_manager.all()
        for row in list(rows)[-MOST_ROWS:]:  # a list holds them all
            yield path.replace("<str:pk>", str(row.pk))
        return
    for parameter in ("<str:text>", "<str:name>", "<uuid:id>"):
        path = path.replace(parameter, str(uuid7()))
    yield path


def content_of(answer: Any) -> bytes:
    headers = "\n".join(f"{name}: {value}" for name, value in answer.response.items()).encode()
    body = b"".join(answer.response.streaming_content) if answer.response.streaming else answer.response.content
    return headers + b"\n" + body


def read_all(caller: Caller, *, sorts: bool = False) -> dict[str, bytes]:
    """Every route that can be read, with the ids there are, and lists in one page; ``sorts``: in every order too."""
    answers = {}
    for path, view in gets():
        if path == "/pages/style.css":
            continue
        for address in addresses(path, view):
            answers[address] = content_of(caller.get(address))
        listing = getattr(view, "listing", None)
        if listing is not None and listing.paged and "<" not in path:
            orders = [f"&sort={sign}{name}" for name in listing.sort_names for sign in ("", "-")] if sorts else [""]
            for order in orders:
                address = f"{path}?limit=500{order}"
                answers[address] = content_of(caller.get(address))
    for format in ("ndjson", "csv"):
        answers[format] = content_of(caller.get(f"audit-events/export?format={format}"))
    return answers


def test_every_sealed_column_is_planted(planted: Planted) -> None:
    columns = {f"{model.__name__}.{column.name}" for model in apps.get_models() for column in sealed_columns(model)}
    of_the_tests_alone = {"Pump.pin", "Pump.spare_pin"}
    assert planted.planted_columns == columns - of_the_tests_alone


def test_sec01_sec06_no_answer_to_any_reader_holds_a_secret(planted: Planted, log: io.StringIO) -> None:
    page = Client()
    page.cookies[COOKIE] = planted.cookie
    readers = {
        "admin": planted.admin,
        "owner": planted.owner,
        "read-only": planted.owner.narrowed(read_only=True),
        "page": Caller(client=page),
        "nobody": Caller(),
    }
    planted.canaries.token("narrowed token", str(readers["read-only"].token))
    answers = {
        f"{name} {address}": content
        for name, reader in readers.items()
        for address, content in read_all(reader, sorts=name == "admin").items()
    }
    assert len(answers) > 300
    assert sum(b'"items":[{' in content for content in answers.values()) > 20
    assert planted.canaries.leaks(answers) == {}
    assert planted.canaries.leaks({"log": log.getvalue()}) == {}


def test_sec01_sec41_no_filter_or_sort_finds_by_a_secret(planted: Planted) -> None:
    secrets = {column.name for model in apps.get_models() for column in sealed_columns(model)}
    secrets |= {"password", "password_hash", "secret_hash", "code_hash", "token_hash", "data"}
    sought = "c4n4ry-that-is-looked-for"
    tried = 0
    for path, view in gets():
        listing = getattr(view, "listing", None)
        if listing is None or not listing.paged or "<" in path:
            continue
        for name in secrets:
            for query in (f"{name}={sought}", f"{name}__startswith=a", f"{name}__isnull=false"):
                refused = planted.admin.get(f"{path}?{query}").code
                assert refused in {"query.unknown", "query.missing", "request.token_in_query"}, (path, query)
                tried += 1
            refused = planted.admin.get(f"{path}?sort={name}").code
            assert refused in {"query.invalid", "query.unknown", "query.missing"}, (path, name)
        for wanted in listing.filters:
            value = sought if not isinstance(wanted, IdFilter) else str(uuid7())
            answer = planted.admin.get(f"{path}?{wanted.name}={value}")
            assert planted.canaries.found_in(content_of(answer)) == [], (path, wanted.name)
    assert tried > 500


def test_sec03_sec05_no_record_of_what_was_done_holds_a_secret(planted: Planted) -> None:
    contents: dict[str, str] = {"sent to the broker": json.dumps(SENT)}
    for model in (AuditEvent, Change, Operation, LogLine):
        rows = list(model._base_manager.values())
        contents[model.__name__] = json.dumps(rows, default=str)
    assert len(SENT) >= 2
    assert AuditEvent.objects.count() > 30
    assert planted.canaries.leaks(contents) == {}
    assert {tuple(sorted(payload)) for payload in SENT} == {("id", "kind", "request_id", "v")}


def test_sec04_nothing_that_is_planted_is_logged_at_debug(planted: Planted, log: io.StringIO) -> None:
    assert len(log.getvalue().splitlines()) >= 3
    assert planted.canaries.leaks({"log": log.getvalue()}) == {}


def test_sec13_a_dump_of_the_database_holds_no_secret_and_no_key(planted: Planted) -> None:
    tables = connection.introspection.table_names()
    contents = {table: _dumped(table) for table in tables}
    assert sum(map(len, contents.values())) > 50_000
    assert planted.canaries.leaks(contents) == {}


def _dumped(table: str) -> bytes:
    """As pg_dump writes it."""
    with connection.cursor() as cursor:
        copy: Any = cursor.cursor.copy(f"COPY {connection.ops.quote_name(table)} TO STDOUT")
        with copy as rows:
            return b"".join(bytes(row) for row in rows)


def defective(*arguments: Any, **named: Any) -> None:
    """A defect that tells all it was given, as careless code does in its messages."""
    raise RuntimeError(f"cannot do {arguments!r} {named!r}")


def test_sec04_a_defect_in_a_view_gives_away_nothing(
    planted: Planted, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each body goes to a view that breaks with its arguments in the message: they mask themselves."""
    new, project = planted.canaries.new, str(planted.estate.project.pk)
    bodies: Mapping[str, Any] = {
        "users": {"username": "x", "password": f"Tr0ub4dor-{new('password in a broken view')}"},
        "credentials": {
            "name": "x",
            "project": project,
            "kind": "token",
            "values": {"token": new("token in a broken view")},
        },
        "audit-forwarders": {"name": "x", "url": "https://10.9.9.9", "signing_secret": new("webhook in a broken view")},
        "clusters": {"name": "x", "kind": "harvester", "kubeconfig": planted.kubeconfig},
        "identity-providers": {
            "name": "x",
            "kind": "oidc",
            "issuer": "https://idp.example.org",
            "client_id": "x",
            "client_secret": new("client secret in a broken view"),
        },
    }
    for resource, body in bodies.items():
        view = next(view for path, view in gets() if path == f"/api/v1/{resource}")
        monkeypatch.setattr(view, "perform_create", defective)
        answer = planted.admin.post(resource, body)
        assert (answer.status, answer.code) == (500, "hub.internal_error")
        assert planted.canaries.found_in(content_of(answer)) == []
    assert "cannot do" in log.getvalue()
    assert planted.canaries.leaks({"log": log.getvalue()}) == {}


def test_sec04_a_defect_in_a_task_gives_away_nothing(
    planted: Planted, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    for model, row in ((Cluster, planted.estate.cluster), (type(planted.estate.guest), planted.estate.guest)):
        kind = model.object_kind
        broken = reconcilers()[kind]

        def reconcile(claim: Any) -> None:
            defective(claim.row, vars(claim.row))

        monkeypatch.setattr(type(broken), "reconcile", staticmethod(reconcile), raising=False)
        work.wake_by_id(model, row.pk)
        runtime.run({"v": broker.PAYLOAD_VERSION, "kind": kind, "id": str(row.pk), "request_id": "r"})
        row.refresh_from_db()
        assert planted.canaries.found_in(json.dumps(row.conditions)) == []
    assert log.getvalue().count("cannot do") >= 2
    assert planted.canaries.leaks({"log": log.getvalue()}) == {}


def test_the_search_finds_what_it_looks_for(planted: Planted) -> None:
    canary = planted.canaries.new("here")
    for text in (canary, f"x{canary}y", canary.encode().hex(), base64.b64encode(f"user:{canary}".encode()).decode()):
        assert planted.canaries.found_in(text) == ["here"], text
