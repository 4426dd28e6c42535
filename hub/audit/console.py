"""Whoever runs a command on the server, as an actor: he may do what the hub itself may, and the trail says that it was he."""

import os
import pwd

from hub.core.access import SYSTEM, Actor


def console() -> Actor:
    """The hub's own actor under the name of this process's user."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:  # as in a container whose user is only a number
        name = str(uid)
    return Actor(kind=SYSTEM.kind, id=None, name=f"console ({name})")
