"""Answers that are held until people have looked at them.

A gateway asks `trigger` whether an answer may leave, puts it away encrypted (`shelf`) where it may not, and gives it
out when enough people have approved it (`votes`). People decide at another process, `mode: reviews`
(`desk`, `service`). The states and who may change them are in PostgreSQL (`edge.database.held`): no gateway's user can
approve there.
"""
