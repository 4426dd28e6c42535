"""The operations on guest clusters and the names of their steps, in order; the portal translates the names."""

CREATE = "guest_cluster.create"
SCALE = "guest_cluster.scale"
DELETE = "guest_cluster.delete"

INFRASTRUCTURE = "infrastructure"
FIRST_SERVER = "first-server"
FURTHER_SERVERS = "further-servers"
WORKERS = "workers"
REGISTRATION = "registration"
CREATE_STEPS = (INFRASTRUCTURE, FIRST_SERVER, FURTHER_SERVERS, WORKERS, REGISTRATION)

SCALE_STEPS = (WORKERS,)

UNREGISTRATION = "unregistration"
REMOVE_WORKERS = "remove-workers"
REMOVE_SERVERS = "remove-servers"
VERIFICATION = "verification"
DELETE_STEPS = (UNREGISTRATION, REMOVE_WORKERS, REMOVE_SERVERS, VERIFICATION)
