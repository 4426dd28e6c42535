"""What every app stands on: base rows, the one change function, work leases, sealed fields, errors, and the access
port.
"""
