"""What of an order cannot be built on Harvester, found before the first call. The contract's own types refuse the
rest."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re

from kube.names import check_dns_label, check_label_key, check_label_value
from node_driver.errors import InvalidSettings, Rejected
from node_driver.harvester.settings import contradictions
from node_driver.types import MachineOrder

# The API server's limit for the data of one Secret.
SECRET_LIMIT_BYTES = 1024 * 1024

_PUBLIC_KEY = re.compile(r"(?P<type>[a-z0-9][-a-z0-9.@]*) (?P<blob>[A-Za-z0-9+/]+=*)( [^\x00-\x1f\x7f]*)?")


def refuse_unusable(order: MachineOrder) -> None:
    """Raises InvalidSettings or Rejected, with the place named and without the value of secrets."""
    if problems := contradictions(order.settings):
        raise InvalidSettings(problems)
    try:
        check_dns_label(order.ref.location)
        for key, value in order.labels.items():
            check_label_key(key)
            check_label_value(value)
        for address in order.static_addresses:
            ipaddress.ip_address(address)
    except ValueError as error:
        raise Rejected(str(error), reason="InvalidOrder") from error
    size = len(order.user_data.encode()) + len((order.network_data or "").encode())
    if size > SECRET_LIMIT_BYTES:
        message = f"user data and network data together are {size} bytes; a Secret holds {SECRET_LIMIT_BYTES}"
        raise Rejected(message, reason="InvalidOrder")
    if order.ssh_public_key is not None and not _is_public_key(order.ssh_public_key):
        raise Rejected("the SSH key is not one OpenSSH public key", reason="InvalidOrder")


def _is_public_key(text: str) -> bool:
    """One line `type base64 [comment]` whose base64 names the same type, as OpenSSH writes it."""
    found = _PUBLIC_KEY.fullmatch(text.strip())
    if found is None:
        return False
    try:
        blob = base64.b64decode(found["blob"], validate=True)
    except binascii.Error:
        return False
    type_name = found["type"].encode()
    return blob.startswith(len(type_name).to_bytes(4, "big") + type_name)
