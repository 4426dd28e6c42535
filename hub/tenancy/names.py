"""What tenants call and say of what is theirs: the rules of names and descriptions."""

from hub.core.errors import HubError, define
from kube.names import check_dns_label

DESCRIPTION_LIMIT = 200

define("name.invalid", 400, "The name is not valid")
define("description.invalid", 400, "The description is not valid")


def checked_name(name: str) -> str:
    """The name, when it is a DNS label. Raises HubError ``name.invalid`` with the rule."""
    try:
        return check_dns_label(name)
    except ValueError as error:
        raise HubError("name.invalid", pointer="/name", rule=str(error)) from error


def checked_description(description: str) -> str:
    """The description, when it is one printable line. Raises HubError ``description.invalid``."""
    if len(description) > DESCRIPTION_LIMIT or not description.isprintable():
        raise HubError("description.invalid", pointer="/description", limit=DESCRIPTION_LIMIT)
    return description
