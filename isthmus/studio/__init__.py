"""A local page on which an architect changes requirements and sees the plan: `isthmus studio`."""
