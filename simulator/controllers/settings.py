"""How long things take on the simulated Harvester cluster, how big it is, and what goes wrong on request.

Delays are seconds. Everything may be changed while the controllers run; it counts from the next step on.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Faults:
    """Switches for what goes wrong.

    `no_address`: guest agents report no address. `image_fail`: image downloads end in an error. `never_schedule`: no
    node takes an instance. `slow_delete`: seconds that a deleted machine hangs before it goes.
    """

    no_address: bool = False
    image_fail: bool = False
    never_schedule: bool = False
    slow_delete: float = 0.0


@dataclass(slots=True)
class SimulationSettings:
    """Size and speed of the simulated Harvester cluster."""

    node_count: int = 3
    node_prefix: str = "harvester-node"
    node_cpus: int = 16
    node_memory_gib: int = 64
    node_heartbeat: float = 10.0
    scheduling_delay: float = 0.3
    launch_delay: float = 0.3
    shutdown_delay: float = 0.5
    image_delay: float = 2.0
    volume_delay: float = 0.1
    faults: Faults = field(default_factory=Faults)

    @property
    def node_names(self) -> list[str]:
        return [f"{self.node_prefix}-{number}" for number in range(1, self.node_count + 1)]
