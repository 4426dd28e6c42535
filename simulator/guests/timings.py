"""How long things take inside guest machines, in seconds. Life-like proportions, demo-like sizes."""

from dataclasses import dataclass


@dataclass(slots=True)
class GuestTimings:
    """Delays of one simulator. They may be changed while it runs.

    `boot`: power on to cloud-init. `install`: packages and installer. `start`: a service's start to its API or kubelet.
    `ready`: a node's registration to Ready. `lost`: a machine's end to its node's NotReady. `retry`: between the
    attempts of a service that failed, as systemd's RestartSec.
    """

    boot: float = 1.5
    install: float = 0.5
    start: float = 0.8
    ready: float = 0.6
    lost: float = 5.0
    retry: float = 1.0
