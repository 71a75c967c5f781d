"""Stand-ins for the controllers whose work a platform waits for; one process a cluster.

They do what the real ones do to the objects that Isthmus makes and reads, and nothing more: `groups` for
LeaderWorkerSet's controller, `mig` for MIG manager and the device plugin, which also shares GPUs in time.
"""
