"""Tells people that held answers wait: sends the notifications of the outbox (`edge.database.outbox`).

A notifier runs outside the namespaces of the classes. It reads counts, names of domains and times, and no answer. Each
notification reaches each of its targets at least once. It is repeated only if a notifier was killed while it sent, and
then has the same id.
"""
