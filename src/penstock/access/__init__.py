"""Access: which caller asks (tokens), and what that caller may do (policy)."""
