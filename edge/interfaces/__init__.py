"""Interfaces beside OpenAI's chat: each converts its requests to a chat request, and chat answers to its own form.

The chat form is the only one that is screened, scored, reviewed, recorded and accounted for.
"""
