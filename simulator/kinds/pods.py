"""Pods and the pod template of Deployments.

Only what the simulator's actors and kubectl's everyday verbs touch has a shape; the rest of a pod is kept as it comes.
"""

from typing import Final

from kube import resources
from simulator.kinds.metadata import TEMPLATE_META
from simulator.kinds.schema import Schema, array, int_or_string, integer, list_map, open_struct, struct, text
from simulator.kinds.spec import AGE, Column, KindSpec

_PORT: Final = struct(
    {
        "name": text(),
        "hostPort": integer(),
        "containerPort": integer(),
        "protocol": text(default="TCP"),
        "hostIP": text(),
    },
    required=["containerPort"],
)

_CONTAINER: Final = open_struct(
    {
        "name": text(),
        "image": text(),
        "command": array(text()),
        "args": array(text()),
        "ports": list_map(_PORT, "containerPort", "protocol"),
        "env": list_map(open_struct({"name": text(), "value": text()}, required=["name"]), "name"),
        "volumeMounts": list_map(
            open_struct({"name": text(), "mountPath": text()}, required=["name", "mountPath"]), "mountPath"
        ),
        "imagePullPolicy": text(default="IfNotPresent"),
        "terminationMessagePath": text(default="/dev/termination-log"),
        "terminationMessagePolicy": text(default="File"),
    },
    required=["name"],
)

_POD_SPEC: Final = open_struct(
    {
        "containers": list_map(_CONTAINER, "name"),
        "initContainers": list_map(_CONTAINER, "name"),
        "volumes": list_map(open_struct({"name": text()}, required=["name"]), "name"),
        "imagePullSecrets": list_map(struct({"name": text()}), "name"),
        "restartPolicy": text(enum=["Always", "OnFailure", "Never"], default="Always"),
        "dnsPolicy": text(default="ClusterFirst"),
        "schedulerName": text(default="default-scheduler"),
        "terminationGracePeriodSeconds": integer(default=30),
        "nodeName": text(),
        "hostAliases": list_map(open_struct({"ip": text()}), "ip"),
    },
    required=["containers"],
)

_CONDITIONS: Final = list_map(open_struct({"type": text(), "status": text()}), "type")

POD_TEMPLATE: Final[Schema] = struct({"metadata": TEMPLATE_META, "spec": _POD_SPEC})

_SELECTOR: Final = struct(
    {"matchLabels": {"type": "object", "additionalProperties": text()}, "matchExpressions": array(open_struct())},
    atomic=True,
)

_ROLLING_UPDATE: Final = struct({"maxSurge": int_or_string(), "maxUnavailable": int_or_string()})

PODS: Final = KindSpec(
    resources.PODS,
    struct(
        {
            "spec": _POD_SPEC,
            "status": open_struct(
                {
                    "phase": text(default="Pending"),
                    "conditions": _CONDITIONS,
                    "podIPs": list_map(struct({"ip": text()}), "ip"),
                }
            ),
        },
        required=["spec"],
    ),
    builtin=True,
    status=True,
    short_names=("po",),
    categories=("all",),
    selectable=(
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    returns_deleted=True,
    columns=(
        Column("Status", ".status.phase"),
        AGE,
        Column("IP", ".status.podIP", priority=1),
        Column("Node", ".spec.nodeName", priority=1),
    ),
)

DEPLOYMENTS: Final = KindSpec(
    resources.DEPLOYMENTS,
    struct(
        {
            "spec": struct(
                {
                    "replicas": integer(minimum=0, default=1),
                    "selector": _SELECTOR,
                    "template": POD_TEMPLATE,
                    "strategy": struct(
                        {"type": text(enum=["RollingUpdate", "Recreate"]), "rollingUpdate": _ROLLING_UPDATE}
                    ),
                    "minReadySeconds": integer(minimum=0),
                    "revisionHistoryLimit": integer(minimum=0, default=10),
                    "progressDeadlineSeconds": integer(minimum=0, default=600),
                    "paused": {"type": "boolean"},
                },
                required=["selector", "template"],
            ),
            "status": open_struct({"conditions": _CONDITIONS}),
        },
        required=["spec"],
    ),
    builtin=True,
    status=True,
    short_names=("deploy",),
    categories=("all",),
    columns=(
        Column("Ready", ".status.readyReplicas", "integer"),
        Column("Up-To-Date", ".status.updatedReplicas", "integer"),
        Column("Available", ".status.availableReplicas", "integer"),
        AGE,
    ),
)
