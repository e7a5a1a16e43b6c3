"""Worker processes of a server, and how they share a listening socket."""
