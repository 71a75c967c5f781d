"""Holds answers until people have reviewed them.

A gateway asks `trigger` whether an answer may leave. If it may not, the gateway stores it encrypted (`held_store`) and
returns it when enough people have approved it (`votes`). People decide in another process, `mode: reviews`
(`decisions`, `service`). The states, and who may change them, are in PostgreSQL (`edge.database.held_answers`). A
gateway's database user cannot approve.
"""
