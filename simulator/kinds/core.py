"""Built-in kinds of the core group, leases and storage classes."""

from typing import Final

from kube import resources
from simulator.kinds.schema import (
    array,
    base64_bytes,
    boolean,
    int_or_string,
    integer,
    list_map,
    mapping,
    open_struct,
    quantity,
    struct,
    text,
    timestamp,
)
from simulator.kinds.spec import AGE, Column, KindSpec

_CONDITIONS: Final = list_map(open_struct({"type": text(), "status": text()}), "type")
_REFERENCE_FIELDS: Final = {
    name: text() for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
}
_REFERENCE: Final = struct(_REFERENCE_FIELDS, atomic=True)
_QUANTITIES: Final = mapping(quantity())

NAMESPACES: Final = KindSpec(
    resources.NAMESPACES,
    struct(
        {
            "spec": struct({"finalizers": array(text())}),
            "status": struct({"phase": text(), "conditions": _CONDITIONS}),
        }
    ),
    builtin=True,
    status=True,
    actions=("finalize",),
    short_names=("ns",),
    counts_generation=False,
    selectable=("status.phase",),
    name_rule="label",
    columns=(Column("Status", ".status.phase"), AGE),
)

NODES: Final = KindSpec(
    resources.NODES,
    struct(
        {
            "spec": open_struct(
                {
                    "podCIDR": text(),
                    "providerID": text(),
                    "unschedulable": boolean(),
                    "taints": array(
                        struct({"key": text(), "value": text(), "effect": text(), "timeAdded": timestamp()})
                    ),
                }
            ),
            "status": open_struct(
                {
                    "capacity": _QUANTITIES,
                    "allocatable": _QUANTITIES,
                    "conditions": _CONDITIONS,
                    "addresses": list_map(struct({"type": text(), "address": text()}), "type"),
                }
            ),
        }
    ),
    builtin=True,
    status=True,
    short_names=("no",),
    counts_generation=False,
    selectable=("spec.unschedulable",),
)

SECRETS: Final = KindSpec(
    resources.SECRETS,
    struct(
        {
            "type": text(default="Opaque"),
            "data": mapping(base64_bytes()),
            "stringData": mapping(text()),
            "immutable": boolean(),
        }
    ),
    builtin=True,
    counts_generation=False,
    selectable=("type",),
    columns=(Column("Type", ".type"), AGE),
)

CONFIG_MAPS: Final = KindSpec(
    resources.CONFIG_MAPS,
    struct({"data": mapping(text()), "binaryData": mapping(base64_bytes()), "immutable": boolean()}),
    builtin=True,
    short_names=("cm",),
    counts_generation=False,
)

_SERVICE_PORT: Final = struct(
    {
        "name": text(),
        "port": integer(minimum=1, maximum=65535),
        "protocol": text(default="TCP"),
        "appProtocol": text(),
        "targetPort": int_or_string(),
        "nodePort": integer(),
    },
    required=["port"],
)

SERVICES: Final = KindSpec(
    resources.SERVICES,
    struct(
        {
            "spec": open_struct(
                {
                    "type": text(enum=["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"], default="ClusterIP"),
                    "clusterIP": text(),
                    "clusterIPs": array(text()),
                    "externalName": text(),
                    "selector": mapping(text()),
                    "sessionAffinity": text(default="None"),
                    "internalTrafficPolicy": text(default="Cluster"),
                    "ports": list_map(_SERVICE_PORT, "port", "protocol"),
                }
            ),
            "status": open_struct({"conditions": _CONDITIONS}),
        }
    ),
    builtin=True,
    status=True,
    short_names=("svc",),
    categories=("all",),
    counts_generation=False,
    selectable=("spec.clusterIP", "spec.type"),
    name_rule="service",
    returns_deleted=True,
    columns=(
        Column("Type", ".spec.type"),
        Column("Cluster-IP", ".spec.clusterIP"),
        Column("External-IP", ".status.loadBalancer.ingress[0].ip"),
        AGE,
    ),
)

EVENTS: Final = KindSpec(
    resources.EVENTS,
    struct(
        {
            "involvedObject": _REFERENCE,
            "related": _REFERENCE,
            "reason": text(),
            "message": text(),
            "source": struct({"component": text(), "host": text()}),
            "firstTimestamp": timestamp() | {"nullable": True},
            "lastTimestamp": timestamp() | {"nullable": True},
            "eventTime": timestamp() | {"nullable": True},
            "count": integer(),
            "type": text(),
            "action": text(),
            "reportingComponent": text(),
            "reportingInstance": text(),
            "series": struct({"count": integer(), "lastObservedTime": timestamp()}),
        }
    ),
    builtin=True,
    short_names=("ev",),
    counts_generation=False,
    selectable=(*(f"involvedObject.{name}" for name in _REFERENCE_FIELDS), "reason", "reportingComponent", "type"),
    columns=(
        Column("Last Seen", ".lastTimestamp", "date"),
        Column("Type", ".type"),
        Column("Reason", ".reason"),
        Column("Object", ".involvedObject.name"),
        Column("Message", ".message"),
    ),
)

SERVICE_ACCOUNTS: Final = KindSpec(
    resources.SERVICE_ACCOUNTS,
    struct(
        {
            "automountServiceAccountToken": boolean(),
            "secrets": list_map(struct(_REFERENCE_FIELDS), "name"),
            "imagePullSecrets": array(struct({"name": text()}, atomic=True)),
        }
    ),
    builtin=True,
    actions=("token",),
    short_names=("sa",),
    counts_generation=False,
    returns_deleted=True,
)

_RESOURCES: Final = struct({"requests": _QUANTITIES, "limits": _QUANTITIES})
_CLAIM_SOURCE: Final = struct({"apiGroup": text(), "kind": text(), "name": text()}, atomic=True)

PERSISTENT_VOLUME_CLAIMS: Final = KindSpec(
    resources.PERSISTENT_VOLUME_CLAIMS,
    struct(
        {
            "spec": struct(
                {
                    "accessModes": array(text()),
                    "resources": _RESOURCES,
                    "storageClassName": text(),
                    "volumeMode": text(default="Filesystem"),
                    "volumeName": text(),
                    "dataSource": _CLAIM_SOURCE,
                    "dataSourceRef": struct({"apiGroup": text(), "kind": text(), "name": text(), "namespace": text()}),
                    "selector": open_struct(),
                }
            ),
            "status": open_struct(
                {
                    "phase": text(default="Pending"),
                    "capacity": _QUANTITIES,
                    "accessModes": array(text()),
                    "conditions": _CONDITIONS,
                }
            ),
        },
        required=["spec"],
    ),
    builtin=True,
    status=True,
    short_names=("pvc",),
    counts_generation=False,
    returns_deleted=True,
    columns=(
        Column("Status", ".status.phase"),
        Column("Volume", ".spec.volumeName"),
        Column("Capacity", ".status.capacity.storage"),
        Column("Access Modes", ".spec.accessModes"),
        Column("StorageClass", ".spec.storageClassName"),
        AGE,
    ),
)

PERSISTENT_VOLUMES: Final = KindSpec(
    resources.PERSISTENT_VOLUMES,
    struct(
        {
            "spec": open_struct(
                {
                    "capacity": _QUANTITIES,
                    "accessModes": array(text()),
                    "claimRef": _REFERENCE,
                    "persistentVolumeReclaimPolicy": text(default="Retain"),
                    "storageClassName": text(),
                    "volumeMode": text(default="Filesystem"),
                },
                required=["capacity", "accessModes"],
            ),
            "status": open_struct({"phase": text(default="Pending")}),
        },
        required=["spec"],
    ),
    builtin=True,
    status=True,
    short_names=("pv",),
    counts_generation=False,
    returns_deleted=True,
    columns=(
        Column("Capacity", ".spec.capacity.storage"),
        Column("Status", ".status.phase"),
        Column("Claim", ".spec.claimRef.name"),
        Column("StorageClass", ".spec.storageClassName"),
        AGE,
    ),
)

RESOURCE_QUOTAS: Final = KindSpec(
    resources.RESOURCE_QUOTAS,
    struct(
        {
            "spec": struct({"hard": _QUANTITIES, "scopes": array(text()), "scopeSelector": open_struct()}),
            "status": struct({"hard": _QUANTITIES, "used": _QUANTITIES}),
        }
    ),
    builtin=True,
    status=True,
    short_names=("quota",),
    counts_generation=False,
    returns_deleted=True,
)

LIMIT_RANGES: Final = KindSpec(
    resources.LIMIT_RANGES,
    struct({"spec": struct({"limits": array(open_struct())}, required=["limits"])}),
    builtin=True,
    short_names=("limits",),
    counts_generation=False,
)

STORAGE_CLASSES: Final = KindSpec(
    resources.STORAGE_CLASSES,
    struct(
        {
            "provisioner": text(),
            "parameters": mapping(text()),
            "reclaimPolicy": text(default="Delete"),
            "mountOptions": array(text()),
            "allowVolumeExpansion": boolean(),
            "volumeBindingMode": text(enum=["Immediate", "WaitForFirstConsumer"], default="Immediate"),
            "allowedTopologies": array(open_struct()),
        },
        required=["provisioner"],
    ),
    builtin=True,
    short_names=("sc",),
    counts_generation=False,
    returns_deleted=True,
    columns=(
        Column("Provisioner", ".provisioner"),
        Column("ReclaimPolicy", ".reclaimPolicy"),
        Column("VolumeBindingMode", ".volumeBindingMode"),
        Column("AllowVolumeExpansion", ".allowVolumeExpansion", "boolean"),
        AGE,
    ),
)

LEASES: Final = KindSpec(
    resources.LEASES,
    struct(
        {
            "spec": struct(
                {
                    "holderIdentity": text(),
                    "leaseDurationSeconds": integer(minimum=1),
                    "leaseTransitions": integer(minimum=0),
                    "acquireTime": timestamp(),
                    "renewTime": timestamp(),
                    "strategy": text(),
                    "preferredHolder": text(),
                }
            )
        }
    ),
    builtin=True,
    counts_generation=False,
    columns=(Column("Holder", ".spec.holderIdentity"), AGE),
)

CORE_KINDS: Final = (
    NAMESPACES,
    NODES,
    SECRETS,
    CONFIG_MAPS,
    SERVICES,
    EVENTS,
    SERVICE_ACCOUNTS,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    RESOURCE_QUOTAS,
    LIMIT_RANGES,
    STORAGE_CLASSES,
    LEASES,
)
