"""Guest machines: what happens inside a virtual machine once it is powered on.

A machine reads its own cloud-init, installs K3s or RKE2 as told there, starts or joins a guest cluster, and that
cluster's API appears on the machine's address. Who powers machines on and off is `simulator.controllers`' part.
"""
