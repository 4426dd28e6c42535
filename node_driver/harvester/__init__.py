"""Machines as KubeVirt virtual machines on a Harvester cluster, through its Kubernetes API."""
