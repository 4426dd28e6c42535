"""The job that hands the audit trail to its receivers; ``hub.audit.forwarding`` knows how."""

from hub.audit.forwarding import forward_all

from .periodic import Periodic

INTERVAL = 2.0

audit_forwarding = Periodic("audit-forwarding", INTERVAL, forward_all)
