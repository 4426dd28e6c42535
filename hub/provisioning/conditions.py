"""Condition types and reasons of guest clusters and machines, each with what it says. Phases are derived from them."""

# GuestCluster
INFRASTRUCTURE_READY = "InfrastructureReady"
"""The project's namespace on the HCI cluster exists and the hub may use it."""
CONTROL_PLANE_READY = "ControlPlaneReady"
"""Every wanted server has joined and its node is Ready."""
WORKERS_READY = "WorkersReady"
"""Every wanted worker has joined and its node is Ready, and no surplus one is left."""
REGISTERED = "Registered"
"""The guest's API is a member cluster of the hub, reached by the hub's own account."""
DELETING = "Deleting"
"""Deletion was asked for; the reason names the step."""

# Machine
CREATED = "Created"
"""The infrastructure has the machine and all that belongs to it."""
RUNNING = "Running"
"""The machine is powered."""
ADDRESS_KNOWN = "AddressKnown"
"""An address of the machine is known."""
JOINED = "Joined"
"""The guest's API shows a node of the machine's name."""
NODE_READY = "NodeReady"
"""That node is Ready."""

# Both
READY = "Ready"
"""All of the above, in one word."""

# Reasons that the hub itself gives; others are the infrastructure's own words.
WAITING = "Waiting"
DONE = "Done"
UNREACHABLE = "Unreachable"
DEADLINE_EXCEEDED = "DeadlineExceeded"
