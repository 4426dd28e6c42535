"""From rows to one machine's bootstrap: what its cloud-init will say. Pure; nothing is read or written.

The same function checks an order before anything is stored and feeds the machine when it is made, so an accepted order
renders.
"""

from typing import Any

from .bootstrap.model import NodeBootstrap, Role, Taint
from .bootstrap.network import ClusterNetwork, StaticAddress
from .bootstrap.pki import GuestPki
from .bootstrap.registries import Registries
from .bootstrap.releases import Release
from .choices import Role as MachineRole
from .models import GuestCluster, Machine, NodePool

NODE_ROLES: dict[str, Role] = {MachineRole.SERVER: "server", MachineRole.WORKER: "agent"}


def build_bootstrap(
    guest: GuestCluster,
    pki: GuestPki,
    pool: NodePool,
    machine: Machine,
    release: Release,
    join_address: str | None,
    registries: Registries | None,
) -> NodeBootstrap:
    """``pki``, ``registries``: the guest's own, opened once by the caller. ``join_address``: a server that answers; None for
    the founder.

    Raises BootstrapInvalid.
    """
    options = guest.options
    return NodeBootstrap(
        release=release,
        cluster_name=guest.name,
        node_name=machine.name,
        role=NODE_ROLES[machine.role],
        server_token=guest.server_token.reveal(),
        agent_token=guest.agent_token.reveal(),
        server_ca_pem=pki.server_ca.cert_pem,
        first=machine.founder,
        join_address=join_address,
        pki=pki if machine.founder else None,
        network=ClusterNetwork(**_tuples(guest.network)),
        static_address=StaticAddress(**_tuples(machine.static_address)) if machine.static_address else None,
        tls_sans=tuple(options.get("tls_sans", ())),
        labels=pool.labels,
        taints=tuple(Taint(**taint) for taint in pool.taints),
        options=options.get("distribution_options", {}),
        component_args=_tuples(options.get("component_args", {})),
        registries=registries,
        ssh_authorized_keys=tuple(options.get("ssh_authorized_keys", ())),
    )


def _tuples(document: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists where the model wants tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in document.items()}
