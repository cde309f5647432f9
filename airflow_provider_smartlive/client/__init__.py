"""Calling MetaStudio: what a connection says, which request each operation is, how it is sent."""
