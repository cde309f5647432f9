"""The RTMP server that plays the shopping platform: protocol, sessions, and counts of what arrives."""
