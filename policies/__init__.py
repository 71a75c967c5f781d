"""The policy pack: rules over the resource graph of a stack, one module for each family of controls.

`isthmus render` and `isthmus preview` evaluate the rules on the graph that will be built. `isthmus ci` uses the rules
of the base commit. Other repositories use `pulumi preview --policy-pack policies`. A rule supports a requirement of a
framework; it never meets one alone.
"""
