"""What each long-running process checks before it serves: settings that are optional for commands are needed now, and
the master keys must open what they once sealed.

A lost key does not stop the hub: all but the secrets stays readable, and whoever needs one is told to enter it again.
"""

import logging

from django.db import transaction

from .environment import InvalidEnvironment, environment
from .errors import HubError
from .keys import key_ring
from .models import HubIdentity, hub_identity

log = logging.getLogger(__name__)

CANARY = "paddock"


def check_start() -> None:
    """Raises InvalidEnvironment naming what is missing, and HubError ``secret.keys_invalid`` for an unusable keys
    file.
    """
    settings = environment()
    missing = [
        name
        for name, value in (
            ("DATABASE_URL", settings.database_url),
            ("REDIS_URL", settings.redis_url),
            ("PADDOCK_KEYS_FILE", settings.keys_file),
        )
        if value is None
    ]
    if missing:
        raise InvalidEnvironment(f"{', '.join(missing)} not set; `manage.py quickstart` brings its own")
    key_ring()
    if not keys_open():
        log.critical(
            "the master keys do not open the canary: stored secrets are lost to this hub until the key is back"
        )


def keys_open() -> bool:
    """Whether this process's keys open what was sealed at first start. Part of ``/readyz``."""
    identity = hub_identity()
    if not identity.canary:
        _place_canary()
        return True
    try:
        return identity.canary.reveal() == CANARY
    except HubError:
        return False


def _place_canary() -> None:
    with transaction.atomic():
        identity = HubIdentity.objects.select_for_update().get(id=1)
        if not identity.canary:
            identity.canary = CANARY
            identity.save(update_fields=["canary"])
