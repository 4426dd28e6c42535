"""What KubeVirt, CDI, Longhorn and Harvester's own controllers do to objects, over any Kubernetes API.

Everything is asked and written through `kube.aio`, so the same code plays on the simulated API and on a real
kube-apiserver. Admission webhooks are not played: what they would fill in is computed where it is needed.
"""

from simulator.controllers.controllers import Controllers
from simulator.controllers.settings import Faults, SimulationSettings

__all__ = ["Controllers", "Faults", "SimulationSettings"]
