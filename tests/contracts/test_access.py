"""Who may do what: RBAC, impersonation, access reviews, tokens, and no handing out of more than one has."""

from collections.abc import Iterator

import pytest

from kube.resources import Object
from tests.contracts.cluster import MERGE, Cluster

RBAC = "/apis/rbac.authorization.k8s.io/v1"
GROUP = "rbac.authorization.k8s.io"
REVIEWS = "/apis/authorization.k8s.io/v1"


@pytest.fixture
def maps(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


@pytest.fixture
def user(prefix: str) -> str:
    return f"{prefix}-user"


def role(name: str, *rules: Object) -> Object:
    return {"metadata": {"name": name}, "rules": list(rules)}


def rule(resource: str, *verbs: str, group: str = "", names: tuple[str, ...] = ()) -> Object:
    built: Object = {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}
    return built | {"resourceNames": list(names)} if names else built


def binding(name: str, kind: str, role_name: str, *subjects: Object) -> Object:
    reference = {"apiGroup": GROUP, "kind": kind, "name": role_name}
    return {"metadata": {"name": name}, "roleRef": reference, "subjects": list(subjects)}


def of_user(name: str) -> Object:
    return {"kind": "User", "apiGroup": GROUP, "name": name}


def of_group(name: str) -> Object:
    return {"kind": "Group", "apiGroup": GROUP, "name": name}


def grant(cluster: Cluster, namespace: str, user: str, *rules: Object) -> None:
    """A role of these rules in the namespace, bound to the user."""
    cluster.call("POST", f"{RBAC}/namespaces/{namespace}/roles", role("granted", *rules)).ok(201)
    bound = binding("granted", "Role", "granted", of_user(user))
    cluster.call("POST", f"{RBAC}/namespaces/{namespace}/rolebindings", bound).ok(201)


@pytest.fixture
def cluster_role(cluster: Cluster, prefix: str) -> Iterator[str]:
    """A cluster role that reads config maps, and its name."""
    cluster.call("POST", f"{RBAC}/clusterroles", role(prefix, rule("configmaps", "get", "list"))).ok(201)
    yield prefix
    for kind in ("clusterrolebindings", "clusterroles"):
        cluster.call("DELETE", f"{RBAC}/{kind}/{prefix}")


def test_without_any_rights_everything_is_forbidden(cluster: Cluster, maps: str, user: str) -> None:
    for method, path, body in (
        ("GET", maps, None),
        ("GET", f"{maps}/a", None),
        ("POST", maps, {"metadata": {"name": "a"}}),
        ("DELETE", f"{maps}/a", None),
    ):
        answer = cluster.call_as(user, method, path, body)
        answer.refused(403, "Forbidden")
        assert answer.body["details"]["kind"] == "configmaps"


def test_a_refusal_tells_who_may_not_do_what_where(cluster: Cluster, maps: str, user: str, namespace: str) -> None:
    message = cluster.call_as(user, "GET", f"{maps}/a").body["message"]
    assert message == (
        f'configmaps "a" is forbidden: User "{user}" cannot get resource "configmaps" in API group "" '
        f'in the namespace "{namespace}"'
    )


def test_a_role_grants_its_verbs_in_its_namespace_alone(cluster: Cluster, maps: str, user: str, namespace: str) -> None:
    grant(cluster, namespace, user, rule("configmaps", "get", "list", "create"))
    cluster.call_as(user, "POST", maps, {"metadata": {"name": "a"}}).ok(201)
    cluster.call_as(user, "GET", f"{maps}/a").ok()
    cluster.call_as(user, "GET", maps).ok()
    cluster.call_as(user, "DELETE", f"{maps}/a").refused(403, "Forbidden")
    cluster.call_as(user, "GET", "/api/v1/namespaces/default/configmaps").refused(403, "Forbidden")
    cluster.call_as(user, "GET", "/api/v1/configmaps").refused(403, "Forbidden")


def test_a_role_can_be_limited_to_names(cluster: Cluster, maps: str, user: str, namespace: str) -> None:
    grant(cluster, namespace, user, rule("configmaps", "get", "list", names=("a",)))
    cluster.call("POST", maps, {"metadata": {"name": "a"}}).ok(201)
    cluster.call_as(user, "GET", f"{maps}/a").ok()
    cluster.call_as(user, "GET", f"{maps}/b").refused(403, "Forbidden")
    cluster.call_as(user, "GET", maps).refused(403, "Forbidden")
    cluster.call_as(user, "GET", f"{maps}?fieldSelector=metadata.name%3Da").ok()


def test_a_subresource_needs_a_right_of_its_own(cluster: Cluster, user: str, namespace: str) -> None:
    machines = f"/apis/kubevirt.io/v1/namespaces/{namespace}/virtualmachines"
    obj = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": "vm"},
        "spec": {"template": {"spec": {"domain": {"devices": {}}}}},
    }
    made = cluster.call("POST", machines, obj).ok(201)
    grant(cluster, namespace, user, rule("virtualmachines", "*", group="kubevirt.io"))
    answer = cluster.call_as(user, "PUT", f"{machines}/vm/status", made)
    answer.refused(403, "Forbidden")
    more = [rule("virtualmachines/status", "update", group="kubevirt.io")]
    path = f"{RBAC}/namespaces/{namespace}/roles/granted"
    cluster.call("PUT", path, role("granted", *more)).ok()
    cluster.call_as(user, "PUT", f"{machines}/vm/status", made).ok()


def test_a_cluster_role_bound_in_a_namespace_holds_there(
    cluster: Cluster, maps: str, user: str, namespace: str, cluster_role: str
) -> None:
    bound = binding("b", "ClusterRole", cluster_role, of_user(user))
    cluster.call("POST", f"{RBAC}/namespaces/{namespace}/rolebindings", bound).ok(201)
    cluster.call_as(user, "GET", maps).ok()
    cluster.call_as(user, "GET", "/api/v1/configmaps").refused(403, "Forbidden")


def test_a_cluster_role_bound_cluster_wide_holds_everywhere(
    cluster: Cluster, maps: str, user: str, cluster_role: str
) -> None:
    bound = binding(cluster_role, "ClusterRole", cluster_role, of_user(user))
    cluster.call("POST", f"{RBAC}/clusterrolebindings", bound).ok(201)
    cluster.call_as(user, "GET", maps).ok()
    cluster.call_as(user, "GET", "/api/v1/configmaps").ok()


def test_rights_of_a_group_are_its_members(cluster: Cluster, maps: str, user: str, namespace: str, prefix: str) -> None:
    cluster.call("POST", f"{RBAC}/namespaces/{namespace}/roles", role("r", rule("configmaps", "list"))).ok(201)
    bound = binding("b", "Role", "r", of_group(f"paddock:project:{prefix}:member"))
    cluster.call("POST", f"{RBAC}/namespaces/{namespace}/rolebindings", bound).ok(201)
    cluster.call_as(user, "GET", maps, groups=[f"paddock:project:{prefix}:member"]).ok()
    cluster.call_as(user, "GET", maps, groups=["paddock:project:other:member"]).refused(403, "Forbidden")


def test_a_deleted_binding_grants_nothing(cluster: Cluster, maps: str, user: str, namespace: str) -> None:
    grant(cluster, namespace, user, rule("configmaps", "list"))
    cluster.call_as(user, "GET", maps).ok()
    cluster.call("DELETE", f"{RBAC}/namespaces/{namespace}/rolebindings/granted").ok()
    cluster.call_as(user, "GET", maps).refused(403, "Forbidden")


def test_a_bindings_role_does_not_change(cluster: Cluster, user: str, namespace: str) -> None:
    grant(cluster, namespace, user, rule("configmaps", "list"))
    path = f"{RBAC}/namespaces/{namespace}/rolebindings/granted"
    answer = cluster.call("PATCH", path, {"roleRef": {"name": "other"}}, content_type=MERGE)
    answer.refused(422, "Invalid", ("FieldValueInvalid", "roleRef"))


def test_a_rule_needs_verbs_and_resources(cluster: Cluster, namespace: str) -> None:
    path = f"{RBAC}/namespaces/{namespace}/roles"
    answer = cluster.call("POST", path, role("r", {"apiGroups": [""], "resources": ["pods"], "verbs": []}))
    answer.refused(422, "Invalid", ("FieldValueRequired", "rules[0].verbs"))
    answer = cluster.call("POST", path, role("r", {"apiGroups": [""], "resources": [], "verbs": ["get"]}))
    answer.refused(422, "Invalid", ("FieldValueRequired", "rules[0].resources"))


def test_bindings_know_roles_and_subjects_of_certain_kinds(cluster: Cluster, namespace: str, prefix: str) -> None:
    path = f"{RBAC}/namespaces/{namespace}/rolebindings"
    answer = cluster.call("POST", path, binding("b", "Group", "r", of_user("ann")))
    answer.refused(422, "Invalid", ("FieldValueNotSupported", "roleRef.kind"))
    answer = cluster.call("POST", path, binding("b", "Role", "r", {"kind": "Robot", "name": "ann"}))
    answer.refused(422, "Invalid", ("FieldValueNotSupported", "subjects[0].kind"))
    nowhere = {"kind": "ServiceAccount", "name": "robot"}
    answer = cluster.call("POST", f"{RBAC}/clusterrolebindings", binding(prefix, "ClusterRole", "view", nowhere))
    answer.refused(422, "Invalid", ("FieldValueRequired", "subjects[0].namespace"))


def test_names_of_roles_may_have_colons(cluster: Cluster, namespace: str) -> None:
    path = f"{RBAC}/namespaces/{namespace}/roles"
    cluster.call("POST", path, role("paddock:hub", rule("pods", "get"))).ok(201)
    cluster.call("GET", f"{path}/paddock:hub").ok()


def test_nobody_grants_what_he_does_not_have(cluster: Cluster, user: str, namespace: str) -> None:
    grant(cluster, namespace, user, rule("configmaps", "get"), rule("roles", "create", "update", group=GROUP))
    roles = f"{RBAC}/namespaces/{namespace}/roles"
    cluster.call_as(user, "POST", roles, role("less", rule("configmaps", "get", names=("a",)))).ok(201)
    cluster.call_as(user, "POST", roles, role("same", rule("configmaps", "get"))).ok(201)
    cluster.call_as(user, "POST", roles, role("verb", rule("configmaps", "delete"))).refused(403, "Forbidden")
    cluster.call_as(user, "POST", roles, role("kind", rule("secrets", "get"))).refused(403, "Forbidden")
    cluster.call_as(user, "POST", roles, role("all", rule("*", "*", group="*"))).refused(403, "Forbidden")
    cluster.call_as(user, "PUT", f"{roles}/same", role("same", rule("secrets", "get"))).refused(403, "Forbidden")


def test_the_verb_escalate_lifts_the_check(cluster: Cluster, user: str, namespace: str) -> None:
    grant(cluster, namespace, user, rule("roles", "create", "escalate", group=GROUP))
    roles = f"{RBAC}/namespaces/{namespace}/roles"
    cluster.call_as(user, "POST", roles, role("more", rule("secrets", "get"))).ok(201)


def test_nobody_binds_a_role_beyond_his_own_rights(cluster: Cluster, user: str, namespace: str) -> None:
    grant(cluster, namespace, user, rule("rolebindings", "create", group=GROUP), rule("configmaps", "get"))
    path = f"{RBAC}/namespaces/{namespace}"
    cluster.call("POST", f"{path}/roles", role("more", rule("secrets", "get"))).ok(201)
    cluster.call("POST", f"{path}/roles", role("same", rule("configmaps", "get"))).ok(201)
    bindings = f"{path}/rolebindings"
    cluster.call_as(user, "POST", bindings, binding("b", "Role", "more", of_user(user))).refused(403, "Forbidden")
    cluster.call_as(user, "POST", bindings, binding("c", "Role", "same", of_user(user))).ok(201)


def test_the_verb_bind_lifts_the_check_for_a_named_role(cluster: Cluster, user: str, namespace: str) -> None:
    may_bind = rule("clusterroles", "bind", group=GROUP, names=("view",))
    grant(cluster, namespace, user, rule("rolebindings", "create", group=GROUP), may_bind)
    path = f"{RBAC}/namespaces/{namespace}/rolebindings"
    cluster.call_as(user, "POST", path, binding("v", "ClusterRole", "view", of_user(user))).ok(201)
    answer = cluster.call_as(user, "POST", path, binding("e", "ClusterRole", "edit", of_user(user)))
    answer.refused(403, "Forbidden")


def test_a_binding_to_a_role_that_is_not_there_is_not_found(cluster: Cluster, user: str, namespace: str) -> None:
    grant(cluster, namespace, user, rule("rolebindings", "create", group=GROUP))
    path = f"{RBAC}/namespaces/{namespace}/rolebindings"
    cluster.call_as(user, "POST", path, binding("b", "Role", "absent", of_user(user))).refused(404, "NotFound")


def test_impersonation_needs_a_right(
    cluster: Cluster, maps: str, namespace: str, prefix: str, cluster_role: str
) -> None:
    account = service_account(cluster, namespace, "impostor")
    headers = [("Impersonate-User", "somebody")]
    refused = cluster.call("GET", maps, token=account, headers=headers)
    refused.refused(403, "Forbidden")
    assert refused.body["details"] == {"name": "somebody", "kind": "users"}
    rules = [rule("users", "impersonate"), rule("groups", "impersonate", names=(f"{prefix}-a",))]
    cluster.call("PUT", f"{RBAC}/clusterroles/{cluster_role}", role(cluster_role, *rules)).ok()
    subject = {"kind": "ServiceAccount", "name": "impostor", "namespace": namespace}
    bound = binding(cluster_role, "ClusterRole", cluster_role, subject)
    cluster.call("POST", f"{RBAC}/clusterrolebindings", bound).ok(201)
    grant(cluster, namespace, "somebody", rule("configmaps", "list"))
    cluster.call("GET", maps, token=account, headers=headers).ok()
    cluster.call("GET", maps, token=account, headers=[*headers, ("Impersonate-Group", f"{prefix}-a")]).ok()
    answer = cluster.call("GET", maps, token=account, headers=[*headers, ("Impersonate-Group", "system:masters")])
    answer.refused(403, "Forbidden")
    assert answer.body["details"] == {"name": "system:masters", "kind": "groups"}


def test_groups_without_a_user_are_no_identity(cluster: Cluster, maps: str) -> None:
    answer = cluster.call("GET", maps, headers=[("Impersonate-Group", "x")])
    assert answer.code == 500


def test_an_impersonated_user_is_authenticated(cluster: Cluster, user: str) -> None:
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    told = cluster.call_as(user, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review, ["one"]).ok(201)
    assert told["status"]["userInfo"] == {"username": user, "groups": ["one", "system:authenticated"]}


def test_an_impersonated_service_account_has_its_groups(cluster: Cluster, namespace: str) -> None:
    name = f"system:serviceaccount:{namespace}:default"
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    told = cluster.call_as(name, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review).ok(201)
    assert set(told["status"]["userInfo"]["groups"]) == {
        "system:serviceaccounts",
        f"system:serviceaccounts:{namespace}",
        "system:authenticated",
    }


def test_without_credentials_one_is_anonymous(cluster: Cluster, maps: str) -> None:
    answer = cluster.call("GET", maps, anonymous=True)
    answer.refused(403, "Forbidden")
    assert 'User "system:anonymous"' in answer.body["message"]


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/version"])
def test_public_paths_need_no_credentials(cluster: Cluster, path: str) -> None:
    assert cluster.call("GET", path, anonymous=True).code == 200


@pytest.mark.parametrize("path", ["/api", "/apis", "/openapi/v3"])
def test_discovery_needs_credentials(cluster: Cluster, path: str, user: str) -> None:
    cluster.call("GET", path, anonymous=True).refused(403, "Forbidden")
    assert cluster.call_as(user, "GET", path).code == 200


def test_a_token_that_is_none_is_unauthorized(cluster: Cluster, maps: str) -> None:
    cluster.call("GET", maps, token="nonsense").refused(401, "Unauthorized")


def access(cluster: Cluster, user: str, **about: str) -> bool:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": about},
    }
    answered = cluster.call_as(user, "POST", f"{REVIEWS}/selfsubjectaccessreviews", review).ok(201)
    return bool(answered["status"]["allowed"])


def test_one_can_ask_what_one_may(cluster: Cluster, user: str, namespace: str) -> None:
    grant(cluster, namespace, user, rule("configmaps", "get", names=("a",)), rule("pods/log", "get"))
    assert access(cluster, user, verb="get", resource="configmaps", name="a", namespace=namespace)
    assert not access(cluster, user, verb="get", resource="configmaps", name="b", namespace=namespace)
    assert not access(cluster, user, verb="delete", resource="configmaps", name="a", namespace=namespace)
    assert not access(cluster, user, verb="get", resource="configmaps", name="a", namespace="default")
    assert access(cluster, user, verb="get", resource="pods", subresource="log", namespace=namespace)
    assert not access(cluster, user, verb="get", resource="pods", namespace=namespace)


def test_one_can_ask_about_paths(cluster: Cluster, user: str) -> None:
    def allowed(path: str) -> bool:
        spec = {"nonResourceAttributes": {"verb": "get", "path": path}}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
        answered = cluster.call_as(user, "POST", f"{REVIEWS}/selfsubjectaccessreviews", review).ok(201)
        return bool(answered["status"]["allowed"])

    assert allowed("/version")
    assert not allowed("/metrics")


def test_one_can_ask_for_somebody_else(cluster: Cluster, user: str, namespace: str) -> None:
    grant(cluster, namespace, user, rule("configmaps", "get"))
    spec = {"user": user, "resourceAttributes": {"verb": "get", "resource": "configmaps", "namespace": namespace}}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    assert cluster.call("POST", f"{REVIEWS}/subjectaccessreviews", review).ok(201)["status"]["allowed"] is True
    cluster.call_as(user, "POST", f"{REVIEWS}/subjectaccessreviews", review).refused(403, "Forbidden")


def test_a_review_about_nothing_is_invalid(cluster: Cluster, user: str) -> None:
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {}}
    answer = cluster.call_as(user, "POST", f"{REVIEWS}/selfsubjectaccessreviews", review)
    answer.refused(422, "Invalid", ("FieldValueInvalid", "spec.resourceAttributes"))


def test_the_rules_of_oneself_can_be_listed(cluster: Cluster, user: str, namespace: str) -> None:
    grant(cluster, namespace, user, rule("configmaps", "get", names=("a",)))
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    told = cluster.call_as(user, "POST", f"{REVIEWS}/selfsubjectrulesreviews", review).ok(201)["status"]
    own = {"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"]}
    assert own in told["resourceRules"]
    assert told["incomplete"] is False


def service_account(cluster: Cluster, namespace: str, name: str, **spec: object) -> str:
    """A new service account's token."""
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    cluster.call("POST", accounts, {"metadata": {"name": name}}).ok(201)
    return token(cluster, namespace, name, **spec)


def token(cluster: Cluster, namespace: str, name: str, **spec: object) -> str:
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    return str(cluster.call("POST", path, request).ok(201)["status"]["token"])


def test_a_service_accounts_token_is_good_for_what_it_is_bound_to(cluster: Cluster, maps: str, namespace: str) -> None:
    text = service_account(cluster, namespace, "robot")
    cluster.call("GET", maps, token=text).refused(403, "Forbidden")
    cluster.call("POST", f"{RBAC}/namespaces/{namespace}/roles", role("r", rule("configmaps", "list"))).ok(201)
    subject = {"kind": "ServiceAccount", "name": "robot", "namespace": namespace}
    bound = binding("b", "Role", "r", subject)
    cluster.call("POST", f"{RBAC}/namespaces/{namespace}/rolebindings", bound).ok(201)
    cluster.call("GET", maps, token=text).ok()


def test_a_token_dies_with_its_service_account(cluster: Cluster, maps: str, namespace: str) -> None:
    text = service_account(cluster, namespace, "robot")  # not used yet: real servers remember a token for 10 s
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    cluster.call("DELETE", f"{path}/robot").ok()
    cluster.call("POST", path, {"metadata": {"name": "robot"}}).ok(201)
    cluster.call("GET", maps, token=text).refused(401, "Unauthorized")


def test_a_token_for_others_is_not_taken_here(cluster: Cluster, maps: str, namespace: str) -> None:
    text = service_account(cluster, namespace, "robot", audiences=["somebody-else"])
    cluster.call("GET", maps, token=text).refused(401, "Unauthorized")


def test_a_token_tells_when_it_ends(cluster: Cluster, namespace: str) -> None:
    cluster.call("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "robot"}}).ok(201)
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/robot/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    told = cluster.call("POST", path, request).ok(201)
    assert told["status"]["expirationTimestamp"].endswith("Z")
    assert told["spec"]["expirationSeconds"] == 600


def test_a_token_lives_ten_minutes_at_least(cluster: Cluster, namespace: str) -> None:
    cluster.call("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "robot"}}).ok(201)
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/robot/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 599}}
    answer = cluster.call("POST", path, request)
    answer.refused(422, "Invalid", ("FieldValueInvalid", "spec.expirationSeconds"))


def test_no_token_for_an_account_that_is_not_there(cluster: Cluster, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/absent/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    cluster.call("POST", path, request).refused(404, "NotFound")


def test_a_token_can_be_reviewed(cluster: Cluster, namespace: str) -> None:
    text = service_account(cluster, namespace, "robot")

    def reviewed(token: str) -> Object:
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        answered = cluster.call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)
        return dict(answered.ok(201)["status"])

    good = reviewed(text)
    assert good["authenticated"] is True
    assert good["user"]["username"] == f"system:serviceaccount:{namespace}:robot"
    assert "authenticated" not in reviewed("nonsense")
