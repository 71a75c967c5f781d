"""Planner: turns requirements into a plan. Catalogues of models, GPUs and prices, sizing, solver, output."""
