"""The review desk: pages on which people who signed on read held answers and decide.

Pages are made here and work without the script, which adds keys, a countdown and the next item in advance. The acts
are those of `edge.reviews`; nothing is decided in this package.
"""
