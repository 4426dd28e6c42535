"""Questions that are asked by creating an object: what may I do, who am I, is this token good, give me a token."""

from collections.abc import Callable, Mapping
from typing import Any

from kube import resources
from kube.errors import FieldCause
from kube.resources import Object
from simulator.apiserver import status
from simulator.apiserver.authentication import Authenticator
from simulator.apiserver.identity import User
from simulator.apiserver.rbac import Rbac, Rule
from simulator.apiserver.requests import RequestInfo
from simulator.apiserver.tokens import ISSUER, TokenSigner
from simulator.clock import timestamp
from simulator.kinds import KindSpec

_DEFAULT_SECONDS = 3600
_LEAST_SECONDS = 600
_MOST_SECONDS = 1 << 32


class Reviews:
    """Answers reviews; each answer is the review with its ``status`` filled in. Raises ApiError 422 for a bad one."""

    def __init__(self, rbac: Rbac, authenticator: Authenticator) -> None:
        self._rbac = rbac
        self._authenticator = authenticator
        self._answers: dict[str, Callable[[KindSpec, User, Object, str], Object]] = {
            "selfsubjectaccessreviews": self._own_access,
            "subjectaccessreviews": self._access,
            "localsubjectaccessreviews": self._access,
            "selfsubjectrulesreviews": self._own_rules,
            "selfsubjectreviews": self._self,
            "tokenreviews": self._token,
        }

    def answer(self, kind: KindSpec, user: User, review: Object, namespace: str) -> Object:
        """The answered review. ``namespace`` is that of the path, for local reviews."""
        head = {"kind": kind.resource.kind, "apiVersion": kind.resource.api_version}
        metadata = review.get("metadata") or {}
        spec = review.get("spec") or {}
        told = self._answers[kind.resource.plural](kind, user, spec, namespace)
        answered = head | {"metadata": metadata | {"creationTimestamp": None}, "status": told}
        return answered | {"spec": spec} if "spec" in review else answered

    def _own_access(self, kind: KindSpec, user: User, spec: Object, namespace: str) -> Object:
        del namespace
        return self._decide(user, _asked(kind, spec))

    def _access(self, kind: KindSpec, user: User, spec: Object, namespace: str) -> Object:
        del user
        if not spec.get("user") and not spec.get("groups"):
            message = "Invalid value: at least one of user or group must be specified"
            raise status.invalid(kind.resource, "", [FieldCause("FieldValueInvalid", "spec.user", message)])
        asked = _asked(kind, spec)
        if kind.resource.namespaced and asked.namespace != namespace:
            message = f"Invalid value: must match the namespace {namespace}"
            cause = FieldCause("FieldValueInvalid", "spec.resourceAttributes.namespace", message)
            raise status.invalid(kind.resource, "", [cause])
        return self._decide(User(spec.get("user", ""), tuple(spec.get("groups") or ())), asked)

    def _decide(self, user: User, asked: RequestInfo) -> Object:
        reason = self._rbac.reason(user, asked)
        told: Object = {"allowed": reason is not None}
        return told | {"reason": reason} if reason else told

    def _own_rules(self, kind: KindSpec, user: User, spec: Object, namespace: str) -> Object:
        del namespace
        if not spec.get("namespace"):
            raise status.bad_request("no namespace on request")
        rules = self._rbac.rules_of(user, spec["namespace"])
        return {
            "resourceRules": [_resource_rule(rule) for rule in rules if not rule.paths],
            "nonResourceRules": [
                {"verbs": sorted(rule.verbs), "nonResourceURLs": sorted(rule.paths)} for rule in rules if rule.paths
            ],
            "incomplete": False,
        }

    def _self(self, kind: KindSpec, user: User, spec: Object, namespace: str) -> Object:
        del kind, spec, namespace
        return {"userInfo": _user_info(user)}

    def _token(self, kind: KindSpec, user: User, spec: Object, namespace: str) -> Object:
        del user, namespace
        if not spec.get("token"):
            raise status.bad_request("token is required for TokenReview in authentication")
        audiences = tuple(spec.get("audiences") or (ISSUER,))
        found = self._authenticator.user_of_token(spec["token"], audiences)
        if found is None:
            return {"user": {}, "error": "invalid bearer token"}
        return {"authenticated": True, "user": _user_info(found.authenticated()), "audiences": list(audiences)}


def issue_token(signer: TokenSigner, account: Object, request: Object) -> Object:
    """The answered TokenRequest for a service account. Raises ApiError 422, and 501 for tokens bound to objects."""
    spec = request.get("spec") or {}
    if spec.get("boundObjectRef"):
        raise status.not_simulated("tokens bound to another object")
    seconds = spec.get("expirationSeconds", _DEFAULT_SECONDS)
    if not isinstance(seconds, int) or not _LEAST_SECONDS <= seconds <= _MOST_SECONDS:
        short = f"Invalid value: {seconds}: may not specify a duration less than 10 minutes or larger than 2^32 seconds"
        cause = FieldCause("FieldValueInvalid", "spec.expirationSeconds", short)
        raise status.invalid(resources.TOKEN_REQUESTS, account["metadata"]["name"], [cause])
    metadata = account["metadata"]
    audiences = spec.get("audiences") or [ISSUER]
    token, end = signer.issue(metadata["namespace"], metadata["name"], metadata["uid"], seconds, audiences)
    return {
        "kind": "TokenRequest",
        "apiVersion": resources.TOKEN_REQUESTS.api_version,
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "creationTimestamp": timestamp()},
        "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": None},
        "status": {"token": token, "expirationTimestamp": end.strftime("%Y-%m-%dT%H:%M:%SZ")},
    }


def _asked(kind: KindSpec, spec: Mapping[str, Any]) -> RequestInfo:
    about, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (about is None) == (path is None):
        message = "Invalid value: exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise status.invalid(kind.resource, "", [FieldCause("FieldValueInvalid", "spec.resourceAttributes", message)])
    if path is not None:
        return RequestInfo(path.get("verb", ""), path.get("path", ""))
    about = about or {}
    fields = ("group", "version", "namespace", "resource", "name", "subresource")
    return RequestInfo(about.get("verb", ""), "", True, *(about.get(field, "") for field in fields))


def _resource_rule(rule: Rule) -> Object:
    told: Object = {
        "verbs": sorted(rule.verbs),
        "apiGroups": sorted(rule.groups),
        "resources": sorted(rule.resources),
    }
    return told | {"resourceNames": sorted(rule.names)} if rule.names else told


def _user_info(user: User) -> Object:
    info: Object = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        info["uid"] = user.uid
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info
