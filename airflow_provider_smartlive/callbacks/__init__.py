"""What receiver, tasks and triggers share: callback URL, callback table, messages. Pure."""
