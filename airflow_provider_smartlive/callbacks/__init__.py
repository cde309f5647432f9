"""What receiver, tasks and triggers agree on: the callback URL, the callback table, and messages. Pure."""
