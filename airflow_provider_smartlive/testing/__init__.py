"""Fixtures for users' tests, and a DAG run inside a test's process."""
