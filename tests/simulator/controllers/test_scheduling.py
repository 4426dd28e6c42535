"""Placement by resources, selectors, affinity and taints."""

from typing import Any

import pytest

from kube.resources import Object
from simulator.controllers.scheduling import Unschedulable, choose_node, demand_of


def node(name: str, memory: str = "8Gi", cpu: str = "4", **changes: Any) -> Object:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **changes.get("labels", {})}},
        "spec": changes.get("spec", {}),
        "status": {"allocatable": {"cpu": cpu, "memory": memory}},
    }


def instance(name: str = "web", placed: str = "", memory: str = "6Gi", **spec: Any) -> Object:
    return {
        "metadata": {"name": name, "namespace": "default", "uid": name, "labels": {"app": "web"}},
        "spec": {"domain": {"resources": {"limits": {"cpu": "2", "memory": memory}}}, **spec},
        "status": {"phase": "Running" if placed else "Scheduling", **({"nodeName": placed} if placed else {})},
    }


def test_limits_are_overcommitted_and_requests_count_as_they_are() -> None:
    by_limits = demand_of(instance(memory="6Gi"))
    by_requests = demand_of(
        instance(domain={"resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "6Gi"}}})
    )
    by_guest = demand_of(instance(domain={"cpu": {"cores": 2, "sockets": 2}, "memory": {"guest": "2Gi"}}))

    assert (float(by_limits.cpu), int(by_limits.memory)) == (0.2, 4 * 2**30)
    assert (float(by_requests.cpu), int(by_requests.memory)) == (0.5, 2**30)
    assert (float(by_guest.cpu), int(by_guest.memory)) == (0.4, 2 * 2**30)


def test_the_emptiest_host_is_chosen() -> None:
    nodes = [node("a"), node("b"), node("c")]
    others = [instance("one", "a"), instance("two", "b")]

    assert choose_node(instance(), nodes, others) == "c"


def test_instances_that_ended_take_no_room() -> None:
    ended = instance("one", "a", memory="12Gi")
    ended["status"]["phase"] = "Succeeded"

    assert choose_node(instance(), [node("a")], [ended]) == "a"


@pytest.mark.parametrize(
    ("wanted", "nodes", "told"),
    [
        (instance(memory="60Gi"), [node("a"), node("b")], "0/2 nodes are available: 2 Insufficient memory."),
        (instance(), [node("a", cpu="100m")], "1 Insufficient cpu"),
        (instance(), [node("a", spec={"unschedulable": True})], "1 node(s) were unschedulable"),
        (
            instance(),
            [node("a", spec={"taints": [{"key": "drain", "effect": "NoSchedule"}]})],
            "untolerated taint {drain: }",
        ),
        (instance(nodeSelector={"zone": "z1"}), [node("a")], "didn't match Pod's node affinity/selector"),
        (instance(), [], "no nodes are registered"),
    ],
)
def test_why_no_host_takes_it_is_told(wanted: Object, nodes: list[Object], told: str) -> None:
    with pytest.raises(Unschedulable) as refusal:
        choose_node(wanted, nodes, [])

    assert told in str(refusal.value)


@pytest.mark.parametrize(
    ("expression", "fits"),
    [
        ({"key": "zone", "operator": "In", "values": ["z1", "z2"]}, True),
        ({"key": "zone", "operator": "NotIn", "values": ["z1"]}, False),
        ({"key": "zone", "operator": "Exists"}, True),
        ({"key": "rack", "operator": "DoesNotExist"}, True),
        ({"key": "disks", "operator": "Gt", "values": ["3"]}, True),
        ({"key": "disks", "operator": "Lt", "values": ["3"]}, False),
        ({"key": "zone", "operator": "Like", "values": ["z"]}, False),
    ],
)
def test_required_node_affinity_is_obeyed(expression: dict[str, Any], fits: bool) -> None:
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    nodes = [node("a", labels={"zone": "z1", "disks": "4"})]

    if fits:
        assert choose_node(instance(affinity=affinity), nodes, []) == "a"
    else:
        with pytest.raises(Unschedulable):
            choose_node(instance(affinity=affinity), nodes, [])


def test_a_tolerated_taint_and_a_preferred_one_do_not_repel() -> None:
    taints = [{"key": "gpu", "value": "yes", "effect": "NoExecute"}, {"key": "x", "effect": "PreferNoSchedule"}]
    tolerant = instance(tolerations=[{"key": "gpu", "operator": "Equal", "value": "yes"}])

    assert choose_node(tolerant, [node("a", spec={"taints": taints})], []) == "a"


def test_required_anti_affinity_keeps_hosts_apart_within_the_namespace() -> None:
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}}
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    elsewhere = instance("other", "a", memory="1Gi")
    elsewhere["metadata"]["namespace"] = "another"

    assert choose_node(instance(affinity=affinity), [node("a")], [elsewhere]) == "a"
    with pytest.raises(Unschedulable, match="anti-affinity"):
        choose_node(instance(affinity=affinity), [node("a")], [instance("one", "a", memory="1Gi")])
