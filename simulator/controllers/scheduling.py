"""Placing an instance on a node: resources, selectors, affinity, taints; pure, after kube-scheduler's default filters.

Requests follow Harvester's overcommit (contract harvester-vm §2.1): an explicit request counts, else the limit divided
by the ratio, because the webhook that writes requests is not there on every API server.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from kube.quantity import parse_quantity
from kube.resources import Object
from simulator.controllers.run_strategy import is_final

CPU_OVERCOMMIT = 10
MEMORY_OVERCOMMIT = Decimal("1.5")
_HOSTNAME = "kubernetes.io/hostname"


class Unschedulable(Exception):
    """No node takes the instance; the message is kube-scheduler's form of why."""


@dataclass(frozen=True, slots=True)
class Demand:
    """CPU in cores and memory in bytes."""

    cpu: Decimal
    memory: Decimal


def demand_of(instance: Object) -> Demand:
    """What an instance asks of its node."""
    domain = instance["spec"].get("domain", {})
    resources = domain.get("resources", {})
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    if "cpu" in requests:
        cpu = parse_quantity(str(requests["cpu"]))
    else:
        cpu = (parse_quantity(str(limits["cpu"])) if "cpu" in limits else _cores(domain)) / CPU_OVERCOMMIT
    if "memory" in requests:
        memory = parse_quantity(str(requests["memory"]))
    elif "memory" in limits:
        memory = parse_quantity(str(limits["memory"])) / MEMORY_OVERCOMMIT
    else:
        memory = parse_quantity(str(domain.get("memory", {}).get("guest") or 0))
    return Demand(cpu, memory)


def limits_of(instance: Object) -> Demand:
    """The instance's limits as a ResourceQuota counts them; the guest's size where none are written."""
    domain = instance["spec"].get("domain", {})
    limits = domain.get("resources", {}).get("limits") or {}
    memory = limits.get("memory") or domain.get("memory", {}).get("guest") or 0
    return Demand(
        parse_quantity(str(limits["cpu"])) if "cpu" in limits else _cores(domain),
        parse_quantity(str(memory)),
    )


def _cores(domain: Mapping[str, Any]) -> Decimal:
    cpu = domain.get("cpu") or {}
    return Decimal((cpu.get("cores") or 1) * (cpu.get("sockets") or 1) * (cpu.get("threads") or 1))


def choose_node(instance: Object, nodes: Sequence[Object], instances: Iterable[Object]) -> str:
    """The name of the node that takes the instance, the emptiest first. Raises Unschedulable."""
    placed = [other for other in instances if _is_placed(other) and not _same(other, instance)]
    reasons: Counter[str] = Counter()
    fitting: list[tuple[Decimal, str]] = []
    for node in nodes:
        here = [other for other in placed if other["status"]["nodeName"] == node["metadata"]["name"]]
        reason = _refusal(instance, node, here)
        if reason:
            reasons[reason] += 1
        else:
            fitting.append((sum((demand_of(other).memory for other in here), Decimal(0)), node["metadata"]["name"]))
    if fitting:
        return min(fitting)[1]
    told = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items())) or "no nodes are registered"
    raise Unschedulable(f"0/{len(nodes)} nodes are available: {told}.")


def _is_placed(instance: Object) -> bool:
    return bool(instance.get("status", {}).get("nodeName")) and not is_final(instance)


def _same(one: Object, other: Object) -> bool:
    return bool(one["metadata"].get("uid") == other["metadata"].get("uid"))


def _refusal(instance: Object, node: Object, here: Sequence[Object]) -> str | None:
    """Why the node does not take the instance, in the scheduler's words; None when it does."""
    spec = node.get("spec") or {}
    if spec.get("unschedulable"):
        return "node(s) were unschedulable"
    for taint in spec.get("taints") or []:
        if taint.get("effect") != "PreferNoSchedule" and not _tolerated(taint, instance):
            return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
    if not _matches_node(instance["spec"], node):
        return "node(s) didn't match Pod's node affinity/selector"
    if _repelled(instance, here):
        return "node(s) didn't match pod anti-affinity rules"
    return _shortage(instance, node, here)


def _shortage(instance: Object, node: Object, here: Sequence[Object]) -> str | None:
    allocatable = node.get("status", {}).get("allocatable") or {}
    wanted = demand_of(instance)
    used = [demand_of(other) for other in here]
    if sum((d.cpu for d in used), wanted.cpu) > parse_quantity(str(allocatable.get("cpu", 0))):
        return "Insufficient cpu"
    if sum((d.memory for d in used), wanted.memory) > parse_quantity(str(allocatable.get("memory", 0))):
        return "Insufficient memory"
    return None


def _tolerated(taint: Mapping[str, Any], instance: Object) -> bool:
    for toleration in instance["spec"].get("tolerations") or []:
        if toleration.get("effect") not in (None, "", taint.get("effect")):
            continue
        if toleration.get("operator") == "Exists" and toleration.get("key") in (None, "", taint["key"]):
            return True
        if toleration.get("key") == taint["key"] and toleration.get("value", "") == taint.get("value", ""):
            return True
    return False


def _matches_node(spec: Mapping[str, Any], node: Object) -> bool:
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if not required:
        return True
    fields = {"metadata.name": node["metadata"]["name"]}
    return any(
        all(_matches(e, labels) for e in term.get("matchExpressions") or [])
        and all(_matches(e, fields) for e in term.get("matchFields") or [])
        for term in required.get("nodeSelectorTerms") or []
    )


def _matches(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or []
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt":
            return value is not None and int(value) > int(values[0])
        case "Lt":
            return value is not None and int(value) < int(values[0])
    return False


def _repelled(instance: Object, here: Sequence[Object]) -> bool:
    """Required anti-affinity by host; wider topologies do not exist on simulated nodes."""
    anti = (instance["spec"].get("affinity") or {}).get("podAntiAffinity") or {}
    terms = anti.get("requiredDuringSchedulingIgnoredDuringExecution") or []
    for term in terms:
        if term.get("topologyKey") == _HOSTNAME and any(_selected(term, instance, other) for other in here):
            return True
    return False


def _selected(term: Mapping[str, Any], instance: Object, other: Object) -> bool:
    namespaces = term.get("namespaces") or [instance["metadata"].get("namespace")]
    if other["metadata"].get("namespace") not in namespaces:
        return False
    selector = term.get("labelSelector") or {}
    labels = other["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_matches(expression, labels) for expression in selector.get("matchExpressions") or [])
