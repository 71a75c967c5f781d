"""Words that several parts of the engine's driver use; light to import."""

RENDER_MARKER = ".isthmus-render"
"""The file by which a rendered folder is known, and may be replaced."""
