"""PostgreSQL: how it is asked, and the tables that it must hold."""

from edge.database.connection import Database, DatabaseDown

__all__ = ["Database", "DatabaseDown"]
