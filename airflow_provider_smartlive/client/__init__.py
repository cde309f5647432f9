"""Calling MetaStudio: connection, operations, transport."""
