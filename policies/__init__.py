"""The policy pack: what must be so of a stack's resources, one file a family of controls.

Judged on the graph that will be built: under `isthmus render` and `isthmus preview`, in `isthmus ci` by the rules of
the base commit, and by `pulumi preview --policy-pack policies` from any repository. A check supports a framework's
requirement, it never meets one.
"""
