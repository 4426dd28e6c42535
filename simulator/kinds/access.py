"""Built-in kinds of access: RBAC objects, access and token reviews, and the two kinds that describe the API itself."""

from typing import Final

from kube import resources
from kube.resources import Resource
from simulator.kinds.schema import array, open_struct, struct, text
from simulator.kinds.spec import AGE, Column, KindSpec

_RULE_FIELDS: Final = {
    name: array(text()) for name in ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
}
_RULES: Final = array(struct(_RULE_FIELDS, required=["verbs"])) | {"nullable": True}
_SUBJECT: Final = struct(
    {"kind": text(), "apiGroup": text(), "name": text(), "namespace": text()}, required=["kind", "name"], atomic=True
)
_BINDING: Final = struct(
    {
        "subjects": array(_SUBJECT),
        "roleRef": struct(
            {name: text() for name in ("apiGroup", "kind", "name")}, required=["kind", "name"], atomic=True
        ),
    },
    required=["roleRef"],
)

ROLES: Final = KindSpec(
    resources.ROLES,
    struct({"rules": _RULES}),
    builtin=True,
    counts_generation=False,
    name_rule="path",
    columns=(Column("Created At", ".metadata.creationTimestamp"),),
)

CLUSTER_ROLES: Final = KindSpec(
    resources.CLUSTER_ROLES,
    struct({"rules": _RULES, "aggregationRule": struct({"clusterRoleSelectors": array(open_struct())})}),
    builtin=True,
    counts_generation=False,
    name_rule="path",
    columns=(Column("Created At", ".metadata.creationTimestamp"),),
)

_BINDING_COLUMNS: Final = (Column("Role", ".roleRef.name"), AGE)

ROLE_BINDINGS: Final = KindSpec(
    resources.ROLE_BINDINGS,
    _BINDING,
    builtin=True,
    counts_generation=False,
    name_rule="path",
    columns=_BINDING_COLUMNS,
)

CLUSTER_ROLE_BINDINGS: Final = KindSpec(
    resources.CLUSTER_ROLE_BINDINGS,
    _BINDING,
    builtin=True,
    counts_generation=False,
    name_rule="path",
    columns=_BINDING_COLUMNS,
)

CUSTOM_RESOURCE_DEFINITIONS: Final = KindSpec(
    resources.CUSTOM_RESOURCE_DEFINITIONS,
    open_struct(),
    builtin=True,
    short_names=("crd", "crds"),
    refuses_writes="serving custom resource definitions that are added at run time",
    columns=(Column("Created At", ".metadata.creationTimestamp"),),
)

API_SERVICES: Final = KindSpec(
    resources.API_SERVICES,
    open_struct(),
    builtin=True,
    refuses_writes="registering aggregated APIs at run time",
    columns=(Column("Available", ".status.conditions[?(@.type=='Available')].status"), AGE),
)

_REVIEW: Final = struct({"spec": open_struct(), "status": open_struct()})


def _review(resource: Resource) -> KindSpec:
    return KindSpec(resource, _REVIEW, builtin=True, transient=True)


_REVIEWS: Final = (
    resources.SELF_SUBJECT_ACCESS_REVIEWS,
    resources.SUBJECT_ACCESS_REVIEWS,
    Resource("authorization.k8s.io", "v1", "localsubjectaccessreviews", "LocalSubjectAccessReview"),
    resources.SELF_SUBJECT_RULES_REVIEWS,
    resources.TOKEN_REVIEWS,
    resources.SELF_SUBJECT_REVIEWS,
)

ACCESS_KINDS: Final = (
    ROLES,
    CLUSTER_ROLES,
    ROLE_BINDINGS,
    CLUSTER_ROLE_BINDINGS,
    CUSTOM_RESOURCE_DEFINITIONS,
    API_SERVICES,
    *(_review(resource) for resource in _REVIEWS),
)
