"""Is it alive, can it serve, how is it doing."""

from typing import Any

import pytest
from django.db import OperationalError, ProgrammingError, transaction
from prometheus_client.parser import text_string_to_metric_families

from hub.api import probes
from hub.core import startup
from hub.core.access import SYSTEM
from hub.core.changes import record_update
from hub.core.conditions import set_condition
from hub.core.errors import HubError
from hub.core.work import wake
from hub.operations import services as operations
from tests.hub.api.callers import SOCKET, Caller
from tests.hub.builders import make_cluster, make_tenant

# Figures are read of every kind that is loaded, and other tests load one of their own.
every_kind_has_a_table = pytest.mark.usefixtures("pumps")


def test_livez_asks_nobody(stranger: Caller) -> None:
    """Without the database fixture, so a query would fail."""
    answer = stranger.get("/livez")
    assert (answer.status, answer.body) == (200, {"alive": True})


def test_readyz_is_open_and_says_ready(db: None, stranger: Caller) -> None:
    answer = stranger.get("/readyz")
    assert (answer.status, answer.body) == (200, {"ready": True, "missing": []})


@pytest.mark.parametrize(
    ("failure", "missing"),
    [
        (OperationalError("password authentication failed for user paddock"), "database"),
        (ProgrammingError('relation "core_hubidentity" does not exist'), "schema"),
        (HubError("secret.keys_invalid", source="/etc/paddock/keys.json"), "keys"),
    ],
)
def test_readyz_names_what_is_missing_and_no_more(
    stranger: Caller, monkeypatch: pytest.MonkeyPatch, failure: Exception, missing: str
) -> None:
    def fail() -> bool:
        raise failure

    monkeypatch.setattr(probes, "keys_open", fail)
    answer = stranger.get("/readyz")
    assert (answer.status, answer.body) == (503, {"ready": False, "missing": [missing]})


def test_readyz_misses_keys_that_do_not_open_the_canary(
    db: None, stranger: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stranger.get("/readyz").status == 200
    monkeypatch.setattr(startup, "CANARY", "another")
    assert stranger.get("/readyz").body == {"ready": False, "missing": ["keys"]}


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/api/v1/openapi.json"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_probes_are_read_only(stranger: Caller, path: str, method: str) -> None:
    answer = stranger.call(method, path)
    assert (answer.status, answer.code, answer.response["Allow"]) == (405, "request.method_unknown", "GET, HEAD")


@every_kind_has_a_table
def test_metrics_are_for_administrators(admin: Caller, owner: Caller, nobody: Caller, stranger: Caller) -> None:
    assert admin.get("/metrics").status == 200
    assert [caller.get("/metrics").status for caller in (owner, nobody, stranger)] == [403, 403, 401]
    assert stranger.get("/metrics").response["WWW-Authenticate"] == 'Bearer realm="paddock"'
    assert Caller(token="pdk_wrong").get("/metrics").status == 401


def test_a_token_for_one_project_reads_no_metrics(admin: Caller) -> None:
    assert admin.narrowed(projects=frozenset()).get("/metrics").status == 403


@every_kind_has_a_table
def test_metrics_are_open_to_the_machine_itself_and_not_to_what_is_relayed(db: None, stranger: Caller) -> None:
    assert stranger.call("GET", "/metrics", **SOCKET).status == 200
    relayed = stranger.call("GET", "/metrics", headers={"X-Forwarded-For": "10.0.0.1"}, **SOCKET)
    assert relayed.status == 401


def scrape(caller: Caller) -> dict[tuple[str, ...], float]:
    """Samples by name and label values."""
    text = caller.get("/metrics").response.content.decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@every_kind_has_a_table
def test_metrics_tell_of_due_rows_phases_clusters_and_operations(admin: Caller) -> None:
    up, down = make_cluster(), make_cluster()
    with transaction.atomic():
        set_condition(up, "Reachable", True, "Probed")
        record_update(up, ["conditions"])
        wake(down)
        operations.start(SYSTEM, "cluster.import", up)
    samples = scrape(admin)
    assert samples["paddock_due_rows", "cluster"] == 1
    assert samples["paddock_due_rows", "machine"] == 0
    assert 0 <= samples["paddock_oldest_due_seconds", "cluster"] < 60
    assert samples["paddock_phase_rows", "cluster", ""] == 2
    assert samples["paddock_phase_seconds", "cluster", ""] >= 0
    assert samples["paddock_cluster_up", str(up.pk), "kubernetes", up.name] == 1
    assert samples["paddock_cluster_up", str(down.pk), "kubernetes", down.name] == 0
    assert samples["paddock_operations", "cluster.import", "pending"] == 1


def test_metrics_of_a_hub_whose_database_is_away_are_a_503(stranger: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> bytes:
        raise OperationalError

    monkeypatch.setattr(probes, "render_metrics", fail)
    assert stranger.call("GET", "/metrics", **SOCKET).status == 503


@every_kind_has_a_table
def test_figures_do_not_grow_with_tenants(admin: Caller) -> None:
    before = len(scrape(admin))
    for _ in range(5):
        make_tenant()
    assert len(scrape(admin)) == before
