"""What a machine is told so that it becomes a node of a guest cluster: a model in, cloud-init documents out.

Pure: no Django, no network, no clock but the one certificates need. Only the release table and our own install script
are read from disk. Ordering machines is `node_driver`'s work, watching them join is the reconcilers'.
"""
