"""A custom role's rules as JSON: what the columns hold and what the API takes. Pure.

Hub rules are ``{"resources": [...], "verbs": [...]}`` of the permission table. Kubernetes rules are
``{"apiGroups": [...], "resources": [...], "verbs": [...], "resourceNames": [...]}`` as in a ClusterRole; paths outside the
API's resources cannot be named.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hub.core.errors import HubError, define
from hub.federation.rights import PolicyRule

from .permissions import RESOURCES, Rule

RULES_LIMIT = 100
WORDS_LIMIT = 100
KUBERNETES_VERBS = frozenset(
    {
        "get",
        "list",
        "watch",
        "create",
        "update",
        "patch",
        "delete",
        "deletecollection",
        "bind",
        "escalate",
        "impersonate",
        "*",
    }
)

_GROUP = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)?|\*", re.ASCII)
_RESOURCE = re.compile(r"(?:[a-z0-9][a-z0-9.-]{0,62}|\*)(?:/[a-z][a-z0-9]{0,62})?", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.:_-]{0,251}[A-Za-z0-9])?", re.ASCII)

define("role.rule_invalid", 400, "The rule is not one that a role can have")


def read_rules(document: Iterable[Mapping[str, Any]]) -> tuple[Rule, ...]:
    """Hub rules of a row. What the table does not have any more gives nothing."""
    return tuple(Rule(frozenset(rule["resources"]), frozenset(rule["verbs"])) for rule in document)


def read_policy_rules(document: Iterable[Mapping[str, Any]]) -> tuple[PolicyRule, ...]:
    """Kubernetes rules of a row, one for each API group."""
    return tuple(
        PolicyRule(group, tuple(rule["resources"]), tuple(rule["verbs"]), tuple(rule.get("resourceNames", ())))
        for rule in document
        for group in rule["apiGroups"]
    )


def check_rules(document: Sequence[Mapping[str, Sequence[str]]]) -> list[dict[str, list[str]]]:
    """Hub rules as they are kept. Raises HubError ``role.rule_invalid`` for a resource or verb that there is not."""
    _check_length(document, "/rules")
    return [_check_rule(rule, f"/rules/{number}") for number, rule in enumerate(document)]


def check_policy_rules(document: Sequence[Mapping[str, Sequence[str]]]) -> list[dict[str, list[str]]]:
    """Kubernetes rules as they are kept. Raises HubError ``role.rule_invalid`` for what a ClusterRole could not have."""
    _check_length(document, "/kubernetes_rules")
    return [_check_policy_rule(rule, f"/kubernetes_rules/{number}") for number, rule in enumerate(document)]


def _check_rule(rule: Mapping[str, Sequence[str]], pointer: str) -> dict[str, list[str]]:
    resources, verbs = _words(rule["resources"], f"{pointer}/resources"), _words(rule["verbs"], f"{pointer}/verbs")
    for name in resources:
        if name != "*" and name not in RESOURCES:
            raise HubError("role.rule_invalid", pointer=f"{pointer}/resources", known=sorted(RESOURCES))
    known = {verb for name in (RESOURCES if "*" in resources else resources) for verb in RESOURCES[name].verbs}
    if not known | {"*"} >= set(verbs):
        raise HubError("role.rule_invalid", pointer=f"{pointer}/verbs", known=sorted(known))
    return {"resources": resources, "verbs": verbs}


def _check_policy_rule(rule: Mapping[str, Sequence[str]], pointer: str) -> dict[str, list[str]]:
    kept = {
        "apiGroups": _matching(rule["apiGroups"], _GROUP, f"{pointer}/apiGroups"),
        "resources": _matching(rule["resources"], _RESOURCE, f"{pointer}/resources"),
        "verbs": _words(rule["verbs"], f"{pointer}/verbs"),
    }
    if not set(kept["verbs"]) <= KUBERNETES_VERBS:
        raise HubError("role.rule_invalid", pointer=f"{pointer}/verbs", known=sorted(KUBERNETES_VERBS))
    if rule.get("resourceNames"):
        kept["resourceNames"] = _matching(rule["resourceNames"], _NAME, f"{pointer}/resourceNames")
    return kept


def _matching(words: Sequence[str], pattern: re.Pattern[str], pointer: str) -> list[str]:
    if not all(pattern.fullmatch(word) for word in words):
        raise HubError("role.rule_invalid", pointer=pointer)
    return _words(words, pointer)


def _words(words: Sequence[str], pointer: str) -> list[str]:
    if not 0 < len(words) <= WORDS_LIMIT:
        raise HubError("role.rule_invalid", pointer=pointer, least=1, most=WORDS_LIMIT)
    return sorted(set(words))


def _check_length(document: Sequence[object], pointer: str) -> None:
    if len(document) > RULES_LIMIT:
        raise HubError("role.rule_invalid", pointer=pointer, most=RULES_LIMIT)
