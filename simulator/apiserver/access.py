"""May this user do that: authorization of requests, and of handing rights to others."""

from collections.abc import Sequence

from kube import resources
from kube.resources import Object, Resource
from simulator.apiserver import status
from simulator.apiserver.identity import MASTERS_GROUP, User
from simulator.apiserver.rbac import Rbac, Rule, parse_rules
from simulator.apiserver.registry import Admit
from simulator.apiserver.requests import RequestInfo
from simulator.kinds import KindSpec

_ROLES = (resources.ROLES, resources.CLUSTER_ROLES)
_BINDINGS = (resources.ROLE_BINDINGS, resources.CLUSTER_ROLE_BINDINGS)


class AccessControl:
    """Decides by RBAC."""

    def __init__(self, rbac: Rbac) -> None:
        self.rbac = rbac

    def authorize(self, user: User, request: RequestInfo) -> None:
        """Raises ApiError 403 unless the user may."""
        if self.rbac.reason(user, request) is None:
            raise _refusal(user, request)

    def admission(self, user: User, kind: KindSpec, request: RequestInfo) -> Admit:
        """What must hold for the objects that this request writes: no roles or bindings beyond the user's own rights.

        The refusal is ApiError 403, or 404 for a binding to a role that does not exist.
        """

        def admit(old: Object | None, new: Object) -> None:
            del old
            if MASTERS_GROUP in user.groups:
                return
            if kind.resource in _ROLES:
                self._check_escalation(user, kind, request, new, parse_rules(new), "escalate")
            elif kind.resource in _BINDINGS and not self._may_bind(user, request, new):
                rules = self.rbac.referenced_rules(new)
                if rules is None:
                    reference = new["roleRef"]
                    raise status.not_found(_role_resource(reference["kind"]), reference["name"])
                self._check_escalation(user, kind, request, new, rules, None)

        return admit

    def _may_bind(self, user: User, request: RequestInfo, binding: Object) -> bool:
        reference = binding["roleRef"]
        role = _role_resource(reference["kind"])
        wanted = RequestInfo(
            "bind", "", True, role.group, role.version, request.namespace, role.plural, reference["name"]
        )
        return self.rbac.reason(user, wanted) is not None

    def _check_escalation(
        self, user: User, kind: KindSpec, request: RequestInfo, obj: Object, rules: Sequence[Rule], verb: str | None
    ) -> None:
        resource, name = kind.resource, obj["metadata"].get("name", "")
        if verb:
            wanted = RequestInfo(
                verb, "", True, resource.group, resource.version, request.namespace, resource.plural, name
            )
            if self.rbac.reason(user, wanted) is not None:
                return
        namespace = request.namespace if resource.namespaced else ""
        missing = self.rbac.missing(user, namespace, rules)
        if missing:
            told = "; ".join(_told(rule) for rule in missing[:20])
            why = f'user "{user.name}" is attempting to grant RBAC permissions not currently held: {told}'
            raise status.forbidden(resource, name, why)


def _refusal(user: User, request: RequestInfo) -> status.ApiError:
    if not request.is_resource:
        message = f'forbidden: User "{user.name}" cannot {request.verb} path "{request.path}"'
        return status.ApiError(403, "Forbidden", message)
    resource = Resource(request.group, request.version, request.resource, "")
    named = f"{request.resource}/{request.subresource}" if request.subresource else request.resource
    where = f'in the namespace "{request.namespace}"' if request.namespace else "at the cluster scope"
    why = f'User "{user.name}" cannot {request.verb} resource "{named}" in API group "{request.group}" {where}'
    return status.forbidden(resource, request.name, why)


def _role_resource(kind: str) -> Resource:
    return resources.ROLES if kind == "Role" else resources.CLUSTER_ROLES


def _told(rule: Rule) -> str:
    parts = [("APIGroups", rule.groups), ("Resources", rule.resources), ("ResourceNames", rule.names)]
    parts += [("NonResourceURLs", rule.paths), ("Verbs", rule.verbs)]
    return "{" + ", ".join(f"{label}:{sorted(values)}" for label, values in parts if values) + "}"
