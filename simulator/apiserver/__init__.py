"""A Kubernetes API in one asyncio process: what Paddock, kubectl's everyday verbs and the simulated actors use.

What it does not do it answers with 501 and the name of what is missing. The real kube-apiserver is the truth: the suite
in ``tests/contracts`` holds both to the same answers.
"""

from simulator.apiserver.authority import Authority
from simulator.apiserver.server import ApiServer
from simulator.apiserver.storage import Store

__all__ = ["ApiServer", "Authority", "Store"]
