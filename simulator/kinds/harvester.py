"""Harvester's own kinds, those of its networks and load balancers (contracts harvester-vm §7-§11, cloud-provider §5).

None of them has the status subresource: Harvester's controllers write status through the object itself.
"""

from typing import Final

from kube import resources
from simulator.kinds.schema import Schema, array, boolean, conditions, integer, mapping, struct, text
from simulator.kinds.spec import AGE, Column, KindSpec

_CONDITIONS: Final = conditions(lastUpdateTime=text())

_SECURITY: Final = struct(
    {
        "cryptoOperation": text(enum=["encrypt", "decrypt"]),
        "sourceImageName": text(),
        "sourceImageNamespace": text(),
    },
    required=["cryptoOperation", "sourceImageName", "sourceImageNamespace"],
)

VIRTUAL_MACHINE_IMAGES: Final = KindSpec(
    resources.VIRTUAL_MACHINE_IMAGES,
    struct(
        {
            "spec": struct(
                {
                    "backend": text(enum=["backingimage", "cdi"], default="backingimage"),
                    "displayName": text(),
                    "description": text(),
                    "sourceType": text(enum=["download", "upload", "export-from-volume", "restore", "clone"]),
                    "url": text(),
                    "checksum": text(),
                    "retry": integer(default=3),
                    "pvcName": text(),
                    "pvcNamespace": text(),
                    "storageClassParameters": mapping(text()),
                    "targetStorageClassName": text(),
                    "securityParameters": _SECURITY,
                },
                required=["displayName", "sourceType"],
            ),
            "status": struct(
                {
                    "progress": integer(),
                    "size": integer(),
                    "virtualSize": integer(),
                    "appliedUrl": text(),
                    "storageClassName": text(),
                    "targetStorageClassName": text(),
                    "failed": integer(default=0),
                    "lastFailedTime": text(),
                    "conditions": _CONDITIONS,
                }
            ),
        },
        required=["spec"],
    ),
    short_names=("vmimage", "vmimages"),
    columns=(
        Column("Backend", ".spec.backend"),
        Column("Display-Name", ".spec.displayName"),
        Column("Size", ".status.size", "integer"),
        Column("VirtualSize", ".status.virtualSize", "integer"),
        AGE,
    ),
)

KEY_PAIRS: Final = KindSpec(
    resources.KEY_PAIRS,
    struct(
        {
            "spec": struct({"publicKey": text()}, required=["publicKey"]),
            "status": struct({"fingerPrint": text(), "conditions": _CONDITIONS}),
        },
        required=["spec"],
    ),
    short_names=("kp", "kps"),
    columns=(Column("Finger_Print", ".status.fingerPrint"), AGE),
)

SETTINGS: Final = KindSpec(
    resources.SETTINGS,
    struct(
        {
            "value": text(),
            "default": text(),
            "customized": boolean(),
            "source": text(),
            "status": struct({"conditions": _CONDITIONS}),
        }
    ),
    columns=(Column("Value", ".value"),),
)

NETWORK_ATTACHMENT_DEFINITIONS: Final = KindSpec(
    resources.NETWORK_ATTACHMENT_DEFINITIONS,
    struct({"spec": struct({"config": text()})}),
    short_names=("net-attach-def",),
)

CLUSTER_NETWORKS: Final = KindSpec(
    resources.CLUSTER_NETWORKS,
    struct({"status": struct({"conditions": _CONDITIONS})}),
    short_names=("cn", "cns"),
)


def _listener(port: Schema) -> Schema:
    return struct(
        {"name": text(), "port": port, "protocol": text(default="TCP"), "backendPort": port},
        required=["port", "protocol", "backendPort"],
    )


LOAD_BALANCERS: Final = KindSpec(
    resources.LOAD_BALANCERS,
    struct(
        {
            "spec": struct(
                {
                    "workloadType": text(enum=["vm", "cluster"]),
                    "ipam": text(enum=["pool", "dhcp"]),
                    "ipPool": text(),
                    "description": text(),
                    "listeners": array(_listener(integer())),
                    "backendServerSelector": mapping(array(text())),
                    "healthCheck": struct(
                        {
                            name: integer()
                            for name in (
                                "port",
                                "successThreshold",
                                "failureThreshold",
                                "periodSeconds",
                                "timeoutSeconds",
                            )
                        }
                    ),
                }
            ),
            "status": struct(
                {
                    "address": text(),
                    "allocatedAddress": struct({name: text() for name in ("ipPool", "ip", "mask", "gateway")}),
                    "backendServers": array(text()),
                    "conditions": _CONDITIONS,
                }
            ),
        },
        required=["spec"],
    ),
    short_names=("lb", "lbs"),
    columns=(
        Column("Description", ".spec.description"),
        Column("WorkloadType", ".spec.workloadType"),
        Column("IPAM", ".spec.ipam"),
        Column("Address", ".status.address"),
        AGE,
    ),
)

_POOL_RANGE: Final = struct(
    {name: text() for name in ("subnet", "rangeStart", "rangeEnd", "gateway")}, required=["subnet"]
)
_POOL_SCOPE: Final = struct({name: text() for name in ("project", "namespace", "guestCluster")})

IP_POOLS: Final = KindSpec(
    resources.IP_POOLS,
    struct(
        {
            "spec": struct(
                {
                    "description": text(),
                    "ranges": array(_POOL_RANGE),
                    "selector": struct({"priority": integer(), "network": text(), "scope": array(_POOL_SCOPE)}),
                },
                required=["ranges"],
            ),
            "status": struct(
                {
                    "total": integer(),
                    "available": integer(),
                    "lastAllocated": text(),
                    "allocated": mapping(text()),
                    "allocatedHistory": mapping(text()),
                    "conditions": _CONDITIONS,
                },
                required=["available", "lastAllocated", "total"],
            ),
        },
        required=["spec"],
    ),
    short_names=("pool", "pools"),
    columns=(Column("Description", ".spec.description"), Column("Priority", ".spec.selector.priority"), AGE),
)

HARVESTER_OWN_KINDS: Final[tuple[KindSpec, ...]] = (
    VIRTUAL_MACHINE_IMAGES,
    KEY_PAIRS,
    SETTINGS,
    NETWORK_ATTACHMENT_DEFINITIONS,
    CLUSTER_NETWORKS,
    LOAD_BALANCERS,
    IP_POOLS,
)
