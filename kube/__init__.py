"""The only package that speaks to a Kubernetes API.

It knows addresses, TLS, HTTP, the error answers and the list/watch protocol. It knows neither Django nor what the
objects mean: meaning belongs to the node drivers, the hub and the workers.
"""
