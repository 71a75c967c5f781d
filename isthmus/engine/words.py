"""Words that several parts of the engine's driver use; light to import."""

MASK = "[secret]"
"""What stands for a secret value, in every output."""
MARKER = ".isthmus-render"
"""The file by which a rendered folder is known, and may be replaced."""
