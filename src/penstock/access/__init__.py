"""Access: whose request it is, by a token, and what that caller may do. The servers ask here; no HTTP is known here."""
