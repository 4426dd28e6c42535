"""A Harvester-shaped cluster in one process: for the demo, for tests, for scale work and for faults."""
