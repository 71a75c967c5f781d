"""This estate's stacks. The program beside them is that of the Isthmus that is installed."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
