"""Constants of rendering that are cheap to import."""

RENDER_MARKER = ".isthmus-render"
"""File that marks a rendered folder, which may be replaced."""
