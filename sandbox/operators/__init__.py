"""Simulated operators: stand-ins for the controllers that a platform needs. One process for each cluster.

They change only the objects that Isthmus creates and reads. `groups` replaces LeaderWorkerSet's controller; `mig`
replaces the GPU Operator's MIG manager and device plugin, including time-slicing.
"""
