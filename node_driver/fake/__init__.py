"""Machines in memory, with faults on request: for tests and demonstrations inside one process."""
