"""From requirements to a plan: models, GPUs and prices as data with their sources, and what follows from them."""
