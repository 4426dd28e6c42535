"""Kubernetes' RBAC as its documentation tells it: whether rules allow a request for one object."""

from collections.abc import Iterable

from hub.federation.rights import PolicyRule


def rbac_allows(rules: Iterable[PolicyRule], group: str, resource: str, verb: str, name: str = "x") -> bool:
    """``resource`` is "pods" or "pods/log"."""
    _, slash, subresource = resource.partition("/")
    names = {resource, "*"} | ({f"*/{subresource}"} if slash else set())
    for rule in rules:
        right_kind = rule.group in (group, "*") and not names.isdisjoint(rule.resources)
        if right_kind and (verb in rule.verbs or "*" in rule.verbs) and (not rule.names or name in rule.names):
            return True
    return False
