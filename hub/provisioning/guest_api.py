"""The API of a guest cluster as provisioning reaches it: by a client certificate that the hub signs itself.

The hub made the guest's certificate authorities, so it needs nothing from the guest to speak to it from the first moment.
The certificate lives an hour, is made for each client and is never stored. Users and everything else of the hub go through
the member cluster that the guest is registered as.
"""

import datetime
from urllib.parse import urlunsplit

from hub.core.address_guard import address_guard
from kube.client import KubeClient
from kube.credentials import Credentials

from .bootstrap.pki import GuestPki, issue_client_certificate
from .models import GuestCluster, Machine

API_PORT = 6443
CERTIFICATE_LIFETIME = datetime.timedelta(hours=1)
TIMEOUT = 5.0


def server_url(address: str) -> str:
    """The API address of a server, IPv6 in brackets."""
    host = f"[{address}]" if ":" in address else address
    return urlunsplit(("https", f"{host}:{API_PORT}", "", "", ""))


def find_servers(guest: GuestCluster) -> list[str]:
    """URLs of the API, the longest joined server first; before any has joined, the founder's alone. May be empty."""
    addresses = list(guest.machines.joined_servers().values_list("address", flat=True))
    if not addresses:
        founders = Machine.objects.filter(guest=guest, founder=True).exclude(address="")
        addresses = list(founders.values_list("address", flat=True))
    return [server_url(address) for address in addresses]


def guest_credentials(guest: GuestCluster, servers: list[str]) -> Credentials:
    """What opens the guest's API as its administrator, for an hour."""
    pki = GuestPki.from_json(guest.pki.reveal())
    certificate, key = issue_client_certificate(
        pki.client_ca, "paddock-hub", ["system:masters"], lifetime=CERTIFICATE_LIFETIME
    )
    return Credentials(tuple(servers), pki.server_ca.cert_pem, client_cert_pem=certificate, client_key_pem=key)


def find_guest_client(guest: GuestCluster) -> KubeClient | None:
    """A client for the guest's API; None while no server has an address. The caller closes it."""
    servers = find_servers(guest)
    if not servers:
        return None
    return KubeClient(guest_credentials(guest, servers), guard=address_guard(), timeout=TIMEOUT)
