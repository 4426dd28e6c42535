"""An order for a guest cluster, checked as a whole before anything is stored; every fault is told with its place.

Pointers are those of the REST body. What only the infrastructure can know (image, network) is asked there, if it answers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hub.allowances.grants import missing_grants
from hub.core.environment import environment
from hub.core.errors import HubError, define
from hub.federation.models import Cluster
from hub.tenancy.models import Project
from kube.names import is_dns_label
from node_driver.errors import DriverError, InvalidSettings
from node_driver.registry import driver_class

from .bootstrap.checks import BootstrapInvalid
from .bootstrap.pki import GuestPki
from .bootstrap.registries import Registries
from .bootstrap.releases import Release, find_latest, find_release, load_releases
from .choices import Role
from .drivers import check_driver, open_driver
from .machine_bootstrap import build_bootstrap
from .models import GuestCluster, Machine, NodePool
from .quotas import names_used
from .registries import resolve_registries

NAME_LIMIT = 40  # with a pool's name and five random characters it is still a DNS label
POOL_NAME_LIMIT = 16
MOST_MACHINES = 500  # of one pool
SERVER_COUNTS = (1, 3, 5, 7)  # etcd wants a majority: an even member adds risk and no safety
MOST_MACHINES_IN_ALL = 1000
MOST_POOLS = 20
OPTION_KEYS = frozenset({"tls_sans", "ssh_authorized_keys", "distribution_options", "component_args", "registries"})
NETWORK_KEYS = frozenset({"cluster_cidrs", "service_cidrs", "cluster_dns", "cluster_domain", "cni"})
DEFAULT_CHANNEL = "stable"

define("guest_cluster.invalid", 422, "The order cannot be carried out as it is")
define("guest_cluster.name_invalid", 422, "The name is not a DNS label of the allowed length")
define("guest_cluster.version_unknown", 422, "The version is not in the release table")
define("guest_cluster.server_count", 422, "A cluster needs 1, 3, 5 or 7 servers in all")
define("guest_cluster.option_unknown", 422, "There is no such option")
define("guest_cluster.bootstrap_invalid", 422, "The machines could not be set up with this value")
define("node_pool.count_invalid", 422, "The number of machines is out of range")
define("node_pool.name_taken", 422, "Two pools of the order have the same name")
define("node_pool.addresses_mismatch", 422, "Give one static address for each machine, or none")
define("node_pool.settings_invalid", 422, "The machine settings do not fit")


@dataclass(frozen=True)
class PoolOrder:
    """Machines of one kind. ``static_addresses``: empty, or one document of ``bootstrap.network.StaticAddress`` each."""

    name: str
    role: str
    count: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, str]] = ()
    static_addresses: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class GuestClusterOrder:
    """What a tenant asks for. ``kubernetes_version`` None: the newest stable release."""

    name: str
    project: Project
    infrastructure: Cluster
    distribution: str
    pools: Sequence[PoolOrder]
    kubernetes_version: str | None = None
    driver: str = "harvester"
    network: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckedOrder:
    """An order that can be carried out: the release it means, and each pool's settings with defaults filled in."""

    release: Release
    settings: Sequence[Mapping[str, Any]]


def check_order(order: GuestClusterOrder) -> CheckedOrder:
    """Raises HubError ``guest_cluster.invalid`` whose causes are everything that is wrong, each with its pointer.

    What the tenant has no grant for is refused here, before anybody asks whether it exists (SEC-40).
    """
    faults = [*_check_shape(order)]
    check_driver(order.driver, order.infrastructure)
    release = _release(order, faults)
    settings = [_settings(order, index, faults) for index in range(len(order.pools))]
    used = [named for index, found in enumerate(settings) if found for named in names_used(found, _settings_of(index))]
    faults += missing_grants(order.project, order.infrastructure, used)
    if faults:
        raise HubError("guest_cluster.invalid", causes=faults)
    return CheckedOrder(release, settings)


def check_on_infrastructure(order: GuestClusterOrder, checked: CheckedOrder, location: str) -> None:
    """Asks the infrastructure whether image, networks and classes exist. An infrastructure that is away is not an error:
    the order waits for it. Raises HubError as ``check_order``."""
    driver = open_driver(order.driver, order.infrastructure)
    faults: list[HubError] = []
    for index, settings in enumerate(checked.settings):
        try:
            problems = driver.check(location, settings)
        except DriverError:
            return  # told again, with its reason, by the machine that needs it
        faults += [_setting_fault(index, p.field, p.code, p.message) for p in problems]
    if faults:
        raise HubError("guest_cluster.invalid", causes=faults)


def check_bootstrap(guest: GuestCluster, pools: Sequence[NodePool], release: Release) -> None:
    """Builds every pool's bootstrap once, with rows that are not stored yet. Raises HubError as ``check_order``."""
    pki = GuestPki.from_json(guest.pki.reveal())
    try:
        registries = resolve_registries(guest)
    except BootstrapInvalid as error:
        raise HubError("guest_cluster.invalid", causes=[_bootstrap_fault(error, 0, 0)]) from error
    faults = [
        fault
        for index, pool in enumerate(pools)
        for fault in _check_pool_bootstrap(guest, pki, pool, index, release, registries)
    ]
    if faults:
        raise HubError("guest_cluster.invalid", causes=faults)


def _check_pool_bootstrap(
    guest: GuestCluster,
    pki: GuestPki,
    pool: NodePool,
    index: int,
    release: Release,
    registries: Registries | None,
) -> Iterator[HubError]:
    """The first thing that is wrong with each of a pool's addresses, or with the pool."""
    for place, address in enumerate(pool.static_addresses or [None]):
        machine = Machine(guest=guest, pool=pool, name=f"{guest.name}-{pool.name}-aaaaa"[:63], role=pool.role)
        machine.static_address = address
        machine.founder = pool.role == Role.SERVER and place == 0
        try:
            join_address = None if machine.founder else "192.0.2.1"
            build_bootstrap(guest, pki, pool, machine, release, join_address, registries)
        except BootstrapInvalid as error:
            yield _bootstrap_fault(error, index, place)
            return
        except TypeError:  # a member that the bootstrap's model does not have
            yield HubError("guest_cluster.option_unknown", pointer=f"/pools/{index}/static_addresses/{place}")
            return


def _bootstrap_fault(error: BootstrapInvalid, pool: int, address: int) -> HubError:
    pointer = _order_pointer(error.pointer, pool, address)
    return HubError("guest_cluster.bootstrap_invalid", pointer=pointer, problem=error.code, message=error.message)


def check_count(count: int, pointer: str, *, least: int = 1) -> Iterator[HubError]:
    if not least <= count <= MOST_MACHINES:
        yield HubError("node_pool.count_invalid", pointer=pointer, least=least, most=MOST_MACHINES, count=count)


def _check_shape(order: GuestClusterOrder) -> Iterator[HubError]:
    if not is_dns_label(order.name) or len(order.name) > NAME_LIMIT or order.name[0].isdigit():
        yield HubError("guest_cluster.name_invalid", pointer="/name", most=NAME_LIMIT)
    for given, known, where in ((order.options, OPTION_KEYS, "options"), (order.network, NETWORK_KEYS, "network")):
        for key in sorted(set(given) - known):
            yield HubError("guest_cluster.option_unknown", pointer=f"/{where}/{key}", known=sorted(known))
    seen: set[str] = set()
    for index, pool in enumerate(order.pools):
        yield from _check_pool(pool, f"/pools/{index}")
        if pool.name in seen:
            yield HubError("node_pool.name_taken", pointer=f"/pools/{index}/name", name=pool.name)
        seen.add(pool.name)
    if (total := sum(max(0, pool.count) for pool in order.pools)) > MOST_MACHINES_IN_ALL:
        yield HubError("node_pool.count_invalid", pointer="/pools", least=1, most=MOST_MACHINES_IN_ALL, count=total)
    servers = sum(pool.count for pool in order.pools if pool.role == Role.SERVER)
    if servers not in SERVER_COUNTS or len(order.pools) > MOST_POOLS:
        yield HubError("guest_cluster.server_count", pointer="/pools", servers=servers, allowed=SERVER_COUNTS)


def _check_pool(pool: PoolOrder, pointer: str) -> Iterator[HubError]:
    if not is_dns_label(pool.name) or len(pool.name) > POOL_NAME_LIMIT:
        yield HubError("guest_cluster.name_invalid", pointer=f"{pointer}/name", most=POOL_NAME_LIMIT)
    yield from check_count(pool.count, f"{pointer}/count")
    if pool.static_addresses and len(pool.static_addresses) != pool.count:
        yield HubError("node_pool.addresses_mismatch", pointer=f"{pointer}/static_addresses", count=pool.count)


def _release(order: GuestClusterOrder, faults: list[HubError]) -> Release:
    releases = load_releases(environment().releases_file)
    if order.kubernetes_version is None:
        release = find_latest(releases, order.distribution, DEFAULT_CHANNEL)
    else:
        release = find_release(releases, order.distribution, order.kubernetes_version)
    if release is None:
        known = [r.version for r in releases if r.distribution == order.distribution]
        faults.append(
            HubError(
                "guest_cluster.version_unknown",
                pointer="/kubernetes_version",
                version=order.kubernetes_version,
                known=known,
            )
        )
        raise HubError("guest_cluster.invalid", causes=faults)
    return release


def _settings(order: GuestClusterOrder, index: int, faults: list[HubError]) -> Mapping[str, Any]:
    schema = driver_class(order.driver).settings
    try:
        return schema.validate(order.pools[index].settings)
    except InvalidSettings as error:
        faults += [_setting_fault(index, p.field, p.code, p.message) for p in error.problems]
        return {}


def _setting_fault(pool: int, field: str, problem: str, message: str) -> HubError:
    pointer = f"{_settings_of(pool)}{field}"
    return HubError("node_pool.settings_invalid", pointer=pointer, problem=problem, message=message)


def _settings_of(pool: int) -> str:
    return f"/pools/{pool}/settings"


def _order_pointer(pointer: str, pool: int, address: int) -> str:
    """A bootstrap's pointer as one into the order that it was built from."""
    first, _, rest = pointer.lstrip("/").partition("/")
    if first in {"labels", "taints"}:
        return f"/pools/{pool}{pointer}"
    if first == "static_address":
        return f"/pools/{pool}/static_addresses/{address}" + (f"/{rest}" if rest else "")
    if first == "options":
        return f"/options/distribution_options/{rest}".rstrip("/")
    if first == "network":
        return pointer
    return f"/options{pointer}"
