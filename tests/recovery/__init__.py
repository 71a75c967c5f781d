"""Recovery, tried: a run killed somewhere, and what the next one makes of it."""
