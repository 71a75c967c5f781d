"""Documents with one or two things changed, and what becomes of each: a wide net beside the tests of each rule.

A rule that is never tried, or a branch that no shipped stack takes, changes unseen. Here seeded changes of
requirements, platforms, resources and reports go through the real code; what comes out is compared with `samples/`.
`python -m tests.variants` compares, and with `--write` writes the samples anew: read the diff before you commit it.
"""
