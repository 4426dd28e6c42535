"""The control plane: Django apps, the REST API and the stream server.

Layers, low to high: core, audit and operations, identity, tenancy, federation, access, provisioning, api and stream, config.
A lower one never imports a higher one, and nothing here imports ``workers``: work is handed over as rows (``hub.core.work``).
"""
