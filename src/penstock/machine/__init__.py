"""What this machine gives a process: cores, memory, turns of the processor, and how processes end."""
