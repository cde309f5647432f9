"""Calling MetaStudio: what a connection says, which request each operation is, how it goes over the wire."""
