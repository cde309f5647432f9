"""Campaigns: what goes live when, in a file that people can read; and the task group of one livestream."""
