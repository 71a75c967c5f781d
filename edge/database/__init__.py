"""PostgreSQL: the connection pool, and the tables of the edge."""

from edge.database.connection import Database, DatabaseDown

__all__ = ["Database", "DatabaseDown"]
