"""Reader processes: bodies are read, and long answers written, where they can hold up nobody.

A body that takes long, or much memory, or crashes what reads it, costs its sender a 400 and this machine a process that
is forked anew. `fork_server` has imported what readers need, and forks them; `reader` is the program of one of them.
The gateway's side: `launcher` starts the fork server, `process` speaks to one reader, `pool` gives them their tasks in
the order that `queue` decides, within the `limits` of each. Bodies and payloads go to and fro as files in memory.
"""
