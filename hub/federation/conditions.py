"""Condition types and reasons of clusters and project namespaces: the words, in one place."""

REACHABLE = "Reachable"
"""The cluster's API answered the last probe."""

REGISTERED = "Registered"
"""The hub has an account of its own there, with all rights that it needs."""

READY = "Ready"
"""Everything above it holds: the hub can work with this cluster, or with this namespace."""

FENCED = "Fenced"
"""True: the hub must not write there, because it is another cluster than before or belongs to another hub."""

# Reasons of Fenced.
IDENTITY_CHANGED = "IdentityChanged"
OWNED_BY_ANOTHER_HUB = "OwnedByAnotherHub"

# Reasons of the others, where they are not the name of a check or of a kube error.
PROBED = "Probed"
ACCOUNT_VERIFIED = "AccountVerified"
IMPORTING = "Importing"
CREDENTIALS_REFUSED = "CredentialsRefused"
NOT_REGISTERED = "NotRegistered"
UNREACHABLE = "Unreachable"
DEADLINE_EXCEEDED = "DeadlineExceeded"
CHECK_FAILED = "CheckFailed"
ALL_WELL = "AllWell"
DELETING = "Deleting"
CLUSTER_UNAVAILABLE = "ClusterUnavailable"
NAMESPACE_TAKEN = "NamespaceTaken"
NAMESPACE_GONE = "NamespaceGone"
QUOTA_TAKEN = "QuotaTaken"
MOVED = "Moved"
NO_MACHINE_ACCOUNT = "NoMachineAccount"
DELETED_THERE = "DeletedInCluster"
APPLIED = "Applied"
