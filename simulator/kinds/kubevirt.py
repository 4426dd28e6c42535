"""KubeVirt's kinds: the fields that machines are ordered with and observed by (contract harvester-vm §2-§4).

VirtualMachineInstance has no status subresource: its status is written through the object itself.
"""

from typing import Final

from kube import resources
from simulator.kinds.schema import (
    Schema,
    array,
    boolean,
    conditions,
    integer,
    mapping,
    open_struct,
    quantity,
    struct,
    text,
)
from simulator.kinds.spec import AGE, Column, KindSpec

_CONDITIONS: Final = conditions(lastProbeTime={"type": "string", "nullable": True})

_REFERENCE: Final = struct({"name": text()})

_CLOUD_INIT: Final = struct(
    {
        "secretRef": _REFERENCE,
        "networkDataSecretRef": _REFERENCE,
        "userData": text(),
        "userDataBase64": text(),
        "networkData": text(),
        "networkDataBase64": text(),
    }
)

_VOLUME: Final = struct(
    {
        "name": text(),
        "persistentVolumeClaim": struct(
            {"claimName": text(), "readOnly": boolean(), "hotpluggable": boolean()}, required=["claimName"]
        ),
        "dataVolume": struct({"name": text(), "hotpluggable": boolean()}, required=["name"]),
        "cloudInitNoCloud": _CLOUD_INIT,
        "cloudInitConfigDrive": _CLOUD_INIT,
        "containerDisk": struct(
            {"image": text(), "imagePullPolicy": text(), "imagePullSecret": text(), "path": text()}, required=["image"]
        ),
        "emptyDisk": struct({"capacity": quantity()}, required=["capacity"]),
        "secret": struct({"secretName": text(), "optional": boolean(), "volumeLabel": text()}),
        "configMap": struct({"name": text(default=""), "optional": boolean(), "volumeLabel": text()}),
    },
    required=["name"],
)

_DISK: Final = struct(
    {
        "name": text(),
        "bootOrder": integer(),
        "serial": text(),
        "cache": text(),
        "dedicatedIOThread": boolean(),
        "disk": struct({"bus": text(), "readonly": boolean(), "pciAddress": text()}),
        "cdrom": struct({"bus": text(), "readonly": boolean(), "tray": text()}),
        "lun": struct({"bus": text(), "readonly": boolean(), "reservation": boolean()}),
    },
    required=["name"],
)

_INTERFACE: Final = struct(
    {
        "name": text(),
        "model": text(),
        "macAddress": text(),
        "bootOrder": integer(),
        "pciAddress": text(),
        "state": text(),
        "bridge": struct({}),
        "masquerade": struct({}),
        "sriov": struct({}),
        "binding": struct({"name": text()}, required=["name"]),
        "ports": array(struct({"name": text(), "port": integer(), "protocol": text()}, required=["port"])),
    },
    required=["name"],
)

_HOST_DEVICE: Final = struct({"name": text(), "deviceName": text(), "tag": text()}, required=["name"])

_DEVICES: Final = struct(
    {
        "disks": array(_DISK, max_items=256),
        "interfaces": array(_INTERFACE, max_items=256),
        "inputs": array(struct({"name": text(), "type": text(), "bus": text()}, required=["name", "type"])),
        "hostDevices": array(_HOST_DEVICE),
        "gpus": array(_HOST_DEVICE),
        "filesystems": array(struct({"name": text(), "virtiofs": struct({})}, required=["name", "virtiofs"])),
        "tpm": struct({"enabled": boolean(), "persistent": boolean()}),
        "rng": struct({}),
        "autoattachGraphicsDevice": boolean(),
        "autoattachMemBalloon": boolean(),
        "autoattachPodInterface": boolean(),
        "autoattachSerialConsole": boolean(),
        "networkInterfaceMultiqueue": boolean(),
    }
)

_CPU: Final = struct(
    {
        "cores": integer(),
        "sockets": integer(),
        "threads": integer(),
        "maxSockets": integer(),
        "model": text(),
        "dedicatedCpuPlacement": boolean(),
        "isolateEmulatorThread": boolean(),
    }
)

_FIRMWARE: Final = struct(
    {
        "uuid": text(),
        "serial": text(),
        "bootloader": struct(
            {
                "efi": struct({"secureBoot": boolean(), "persistent": boolean()}),
                "bios": struct({"useSerial": boolean()}),
            }
        ),
    }
)

_SWITCH: Final = struct({"enabled": boolean()})

_DOMAIN: Final = struct(
    {
        "machine": struct({"type": text()}),
        "cpu": _CPU,
        "memory": struct({"guest": quantity(), "maxGuest": quantity(), "hugepages": struct({"pageSize": text()})}),
        "resources": struct(
            {
                "limits": mapping(quantity()),
                "requests": mapping(quantity()),
                "overcommitGuestOverhead": boolean(),
            }
        ),
        "features": struct({"acpi": _SWITCH, "apic": open_struct(), "smm": _SWITCH, "hyperv": open_struct()}),
        "firmware": _FIRMWARE,
        "clock": open_struct(),
        "ioThreadsPolicy": text(),
        "devices": _DEVICES,
    },
    required=["devices"],
)

_NETWORK: Final = struct(
    {
        "name": text(),
        "multus": struct({"networkName": text(), "default": boolean()}, required=["networkName"]),
        "pod": struct({"vmNetworkCIDR": text(), "vmIPv6NetworkCIDR": text()}),
    },
    required=["name"],
)

_TOLERATION: Final = struct(
    {
        "key": text(),
        "operator": text(),
        "value": text(),
        "effect": text(),
        "tolerationSeconds": integer(),
    }
)

_INSTANCE_SPEC: Final[Schema] = struct(
    {
        "domain": _DOMAIN,
        "networks": array(_NETWORK, max_items=256),
        "volumes": array(_VOLUME, max_items=256),
        "affinity": open_struct(),
        "nodeSelector": mapping(text()),
        "tolerations": array(_TOLERATION),
        "hostname": text(),
        "subdomain": text(),
        "evictionStrategy": text(),
        "terminationGracePeriodSeconds": integer(),
        "startStrategy": text(),
        "priorityClassName": text(),
        "schedulerName": text(),
        "architecture": text(),
        "accessCredentials": array(open_struct()),
        "readinessProbe": open_struct(),
        "livenessProbe": open_struct(),
        "dnsPolicy": text(),
        "dnsConfig": open_struct(),
    },
    required=["domain"],
)

_STATE_CHANGE: Final = struct(
    {"action": text(), "data": mapping(text()), "uid": text()},
    required=["action"],
)

_MACHINE_STATUS: Final = struct(
    {
        "printableStatus": text(default="Stopped"),
        "created": boolean(),
        "ready": boolean(),
        "runStrategy": text(),
        "desiredGeneration": integer(),
        "observedGeneration": integer(),
        "conditions": _CONDITIONS,
        "stateChangeRequests": array(_STATE_CHANGE),
        "volumeSnapshotStatuses": array(
            struct({"name": text(), "enabled": boolean(), "reason": text()}, required=["name", "enabled"])
        ),
        "startFailure": open_struct(),
        "volumeRequests": array(open_struct()),
    }
)

VIRTUAL_MACHINES: Final = KindSpec(
    resources.VIRTUAL_MACHINES,
    struct(
        {
            "spec": struct(
                {
                    "runStrategy": text(),
                    "running": boolean(),
                    "dataVolumeTemplates": array(open_struct(required=["spec"])),
                    "updateVolumesStrategy": text(),
                    "template": struct({"metadata": open_struct(), "spec": _INSTANCE_SPEC}),
                },
                required=["template"],
            ),
            "status": _MACHINE_STATUS,
        },
        required=["spec"],
    ),
    status=True,
    short_names=("vm", "vms"),
    categories=("all",),
    columns=(
        AGE,
        Column("Status", ".status.printableStatus"),
        Column("Ready", ".status.conditions[?(@.type=='Ready')].status"),
    ),
)

_GUEST_INTERFACE: Final = struct(
    {
        "name": text(),
        "mac": text(),
        "ipAddress": text(),
        "ipAddresses": array(text()),
        "interfaceName": text(),
        "infoSource": text(),
        "podInterfaceName": text(),
        "linkState": text(),
        "queueCount": integer(),
    }
)

_VOLUME_STATUS: Final = open_struct(
    {"name": text(), "target": text(), "phase": text(), "reason": text(), "message": text()},
    required=["name", "target"],
)

_MIGRATION_STATE: Final = open_struct(
    {
        "migrationUid": text(),
        "sourceNode": text(),
        "targetNode": text(),
        "completed": boolean(),
        "failed": boolean(),
        "startTimestamp": {"type": "string", "format": "date-time", "nullable": True},
        "endTimestamp": {"type": "string", "format": "date-time", "nullable": True},
    }
)

_PHASE_TRANSITION: Final = struct({"phase": text(), "phaseTransitionTimestamp": text()})

_INSTANCE_STATUS: Final = struct(
    {
        "phase": text(),
        "reason": text(),
        "nodeName": text(),
        "activePods": mapping(text()),
        "conditions": _CONDITIONS,
        "interfaces": array(_GUEST_INTERFACE),
        "guestOSInfo": struct(
            {
                name: text()
                for name in (
                    "name",
                    "id",
                    "prettyName",
                    "version",
                    "versionId",
                    "kernelRelease",
                    "kernelVersion",
                    "machine",
                )
            }
        ),
        "volumeStatus": array(_VOLUME_STATUS),
        "migrationState": _MIGRATION_STATE,
        "migrationMethod": text(),
        "migrationTransport": text(),
        "phaseTransitionTimestamps": array(_PHASE_TRANSITION),
        "launcherContainerImageVersion": text(),
        "qosClass": text(),
        "runtimeUser": integer(),
        "virtualMachineRevisionName": text(),
    }
)


def _condition_column(name: str, condition: str, priority: int = 0) -> Column:
    return Column(name, f".status.conditions[?(@.type=='{condition}')].status", priority=priority)


VIRTUAL_MACHINE_INSTANCES: Final = KindSpec(
    resources.VIRTUAL_MACHINE_INSTANCES,
    struct({"spec": _INSTANCE_SPEC, "status": _INSTANCE_STATUS}, required=["spec"]),
    short_names=("vmi", "vmis"),
    categories=("all",),
    columns=(
        AGE,
        Column("Phase", ".status.phase"),
        Column("IP", ".status.interfaces[0].ipAddress"),
        Column("NodeName", ".status.nodeName"),
        _condition_column("Ready", "Ready"),
        _condition_column("Live-Migratable", "LiveMigratable", priority=1),
        _condition_column("Paused", "Paused", priority=1),
    ),
)

VIRTUAL_MACHINE_INSTANCE_MIGRATIONS: Final = KindSpec(
    resources.VIRTUAL_MACHINE_INSTANCE_MIGRATIONS,
    struct(
        {
            "spec": struct({"vmiName": text(), "addedNodeSelector": mapping(text())}),
            "status": struct(
                {
                    "phase": text(),
                    "conditions": _CONDITIONS,
                    "migrationState": _MIGRATION_STATE,
                    "phaseTransitionTimestamps": array(_PHASE_TRANSITION),
                }
            ),
        },
        required=["spec"],
    ),
    status=True,
    short_names=("vmim", "vmims"),
    categories=("all",),
    columns=(Column("Phase", ".status.phase"), Column("VMI", ".spec.vmiName")),
)

KUBEVIRT_KINDS: Final[tuple[KindSpec, ...]] = (
    VIRTUAL_MACHINES,
    VIRTUAL_MACHINE_INSTANCES,
    VIRTUAL_MACHINE_INSTANCE_MIGRATIONS,
)
