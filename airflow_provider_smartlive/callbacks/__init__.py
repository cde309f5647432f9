"""Being called by MetaStudio: routes, the receiver, the callback table, and waking whoever waits."""
