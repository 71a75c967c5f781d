"""The trainer: fine-tunes a small adapter (LoRA) of a base model on the data of one class.

It runs in an environment or image of its own, with PEFT and TRL (`trainer.lock`), and imports nothing of Isthmus but
two modules of the edge. `python -m trainer` trains; the modules that read a recipe, its data and a manifest import
no machine learning library, so that other programs can use them.
"""
