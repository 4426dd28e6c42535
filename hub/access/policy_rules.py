"""Rules of Kubernetes' RBAC compared: whether one set holds all that another gives. Pure.

A right is an API group, a resource with its subresource, a verb, and a name or any name. The group counts as much as the
resource does (SEC-34), and a wildcard is held by a wildcard only: what it will mean tomorrow nobody knows today.
"""

from collections.abc import Iterable, Iterator, Sequence

from hub.federation.rights import READ, PolicyRule

ANY = "*"
_READ_VERBS = frozenset(READ)
_READABLE_SUBRESOURCES = frozenset({"log", "status", "scale"})
# In these groups a wildcard holds subresources whose GET opens a session or carries any method.
_GROUPS_WITH_SESSIONS = frozenset({"", ANY, "subresources.kubevirt.io"})


def holds(held: Sequence[PolicyRule], wanted: Iterable[PolicyRule]) -> bool:
    """Whether ``held`` gives all that ``wanted`` gives."""
    return next(missing(held, wanted), None) is None


def missing(held: Sequence[PolicyRule], wanted: Iterable[PolicyRule]) -> Iterator[PolicyRule]:
    """What ``wanted`` gives and ``held`` does not, each as a rule of one resource and one verb."""
    for rule in wanted:
        for url in rule.urls:
            for verb in rule.verbs:
                if not any(_gives_url(one, url, verb) for one in held):
                    yield PolicyRule("", (), (verb,), urls=(url,))
        for resource in rule.resources:
            for verb in rule.verbs:
                for names in _each_name(rule):
                    if not any(_gives(one, rule.group, resource, verb, names) for one in held):
                        yield PolicyRule(rule.group, (resource,), (verb,), names)


def only_reads(rules: Iterable[PolicyRule]) -> bool:
    """Whether the rules let nobody change anything or open a session (a session's request is a GET too)."""
    return all(
        _READ_VERBS.issuperset(rule.verbs) and all(_reads(rule.group, resource) for resource in rule.resources)
        for rule in rules
    )


def _reads(group: str, resource: str) -> bool:
    if resource == ANY:
        return group not in _GROUPS_WITH_SESSIONS
    _, slash, subresource = resource.partition("/")
    return not slash or subresource in _READABLE_SUBRESOURCES


def _each_name(rule: PolicyRule) -> list[tuple[str, ...]]:
    return [(name,) for name in rule.names] or [()]


def _gives(rule: PolicyRule, group: str, resource: str, verb: str, names: tuple[str, ...]) -> bool:
    return (
        rule.group in (group, ANY)
        and (ANY in rule.verbs or verb in rule.verbs)
        and _has_resource(rule, resource)
        and (not rule.names or (bool(names) and set(names) <= set(rule.names)))
    )


def _gives_url(rule: PolicyRule, url: str, verb: str) -> bool:
    return (ANY in rule.verbs or verb in rule.verbs) and any(
        url == path or (path.endswith(ANY) and url.startswith(path[:-1])) for path in rule.urls
    )


def _has_resource(rule: PolicyRule, resource: str) -> bool:
    _, slash, subresource = resource.partition("/")
    return ANY in rule.resources or resource in rule.resources or bool(slash and f"*/{subresource}" in rule.resources)
