"""The one public port: TLS, the Kubernetes proxy, and everything else relayed to the web process.

It decides from memory: no query runs for a request. What may be reached and as whom comes from ``hub.access.snapshot``;
bytes are carried by ``kube.relay``.
"""
