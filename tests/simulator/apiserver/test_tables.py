"""Rows for kubectl get."""

from datetime import UTC, datetime, timedelta

import pytest

from kube.resources import NODES, PODS, SERVICES, VIRTUAL_MACHINES, Object, Resource
from simulator.apiserver.jsonpath import first
from simulator.apiserver.tables import age, build_table
from tests.simulator.apiserver.conftest import KINDS


def cells(resource: Resource, obj: Object) -> dict[str, object]:
    obj = {"metadata": {"name": "x"}} | obj
    table = build_table(KINDS[resource], [obj], "", {})
    names = [column["name"] for column in table["columnDefinitions"]]
    return dict(zip(names, table["rows"][0]["cells"], strict=True))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (190, "3m10s"),
        (600, "10m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 1200, "3h20m"),
        (10 * 3600, "10h"),
        (2 * 86400, "2d"),
        (2 * 86400 + 7200, "2d2h"),
        (30 * 86400, "30d"),
        (800 * 86400, "2y"),
    ],
)
def test_ages(seconds: int, expected: str) -> None:
    then = datetime.now(UTC) - timedelta(seconds=seconds, milliseconds=200)
    assert age(then.isoformat()) == expected


def test_an_age_that_is_none() -> None:
    assert age("yesterday") == "<invalid>"


def test_a_nodes_row() -> None:
    node = {
        "metadata": {
            "name": "n",
            "labels": {"node-role.kubernetes.io/etcd": "", "node-role.kubernetes.io/control-plane": ""},
        },
        "spec": {"unschedulable": True},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {"kubeletVersion": "v1.34.4+k3s1"},
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
        },
    }
    row = cells(NODES, node)
    assert row["Status"] == "Ready,SchedulingDisabled"
    assert row["Roles"] == "control-plane,etcd"
    assert (row["Version"], row["Internal-IP"], row["External-IP"]) == ("v1.34.4+k3s1", "10.0.0.1", "<none>")


@pytest.mark.parametrize(("ready", "word"), [("False", "NotReady"), ("Unknown", "Unknown"), (None, "Unknown")])
def test_a_node_that_is_not_ready(ready: str | None, word: str) -> None:
    conditions = [{"type": "Ready", "status": ready}] if ready else []
    row = cells(NODES, {"status": {"conditions": conditions}})
    assert (row["Status"], row["Roles"]) == (word, "<none>")


def test_rows_of_pods_and_services() -> None:
    pod = {"spec": {"containers": [{}, {}]}, "status": {"phase": "Running", "containerStatuses": [{"ready": True}]}}
    assert (cells(PODS, pod)["Ready"], cells(PODS, pod)["Status"]) == ("1/2", "Running")
    service = {"spec": {"ports": [{"port": 80}, {"port": 53, "protocol": "UDP"}]}}
    assert cells(SERVICES, service)["Port(s)"] == "80/TCP,53/UDP"


def test_a_machines_row_finds_its_condition() -> None:
    conditions = [{"type": "Paused", "status": "False"}, {"type": "Ready", "status": "True"}]
    machine = {"status": {"printableStatus": "Running", "conditions": conditions}}
    assert (cells(VIRTUAL_MACHINES, machine)["Status"], cells(VIRTUAL_MACHINES, machine)["Ready"]) == (
        "Running",
        "True",
    )
    assert cells(VIRTUAL_MACHINES, {})["Status"] == ""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".a.b", 1),
        (".list[1].x", 2),
        (".list[*].x", 1),
        (".list[?(@.x=='2')].y", "two"),
        (".list[9].x", None),
        (".a.b.c", None),
        (".list.x", None),
    ],
)
def test_paths(path: str, expected: object) -> None:
    assert first({"a": {"b": 1}, "list": [{"x": 1}, {"x": 2, "y": "two"}]}, path) == expected


def test_a_path_beyond_the_subset_is_named() -> None:
    with pytest.raises(ValueError, match="not a path"):
        first({}, ".a[1:2]")
