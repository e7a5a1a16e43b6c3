"""The numbers that a server runs with unless its settings say otherwise.

They are the defaults of the settings, and of the objects that are made from settings. Times are in seconds.
"""

TIMEOUT = 60.0  # for one request
MAX_ROWS = 1024  # that a model is given at once
MAX_QUEUE_ROWS = 65_536  # that may wait for a model
MAX_WAIT = 1.0  # of work that a burst of requests may pile up for a model
MAX_BODY_BYTES = 64 * 1024 * 1024  # of one request body
POLL_INTERVAL = 2.0  # between questions to the registry
KEEP_PREVIOUS = 300.0  # for which a replaced version is kept warm
KEEP_ALIVE = 75.0  # for an idle connection
DRAIN_DELAY = 0.0  # between "not ready" and "no new connections"
DRAIN_TIMEOUT = 30.0  # for what is in flight then
WORKER_TIMEOUT = 60.0  # without a sign of life, after which a worker process is replaced
MAX_TEXT_CELL = 1024  # bytes of a text for a model in the gateway, which only looks it up
READ_TIMEOUT = 2.0  # of processor time to read a body; each 10 MiB of it add a second
READER_MEMORY = 10 * MAX_BODY_BYTES  # bytes that reading the largest body may take; a smaller one, its share
LOAD_TIMEOUT = 300.0  # to load and prove a package in a process of its own
