"""A stand-in for Google Cloud Storage: an emulator of its JSON API, in a process of its own."""

from __future__ import annotations

from contextlib import AbstractContextManager

from support.stand_in import stand_in

_SERVER = """
import sys, threading, warnings
warnings.simplefilter("ignore")
from gcp_storage_emulator.server import create_server
server = create_server(sys.argv[1], 0, in_memory=True, default_bucket="models")
server.start()
print(server._api._httpd.server_address[1], flush=True)
threading.Event().wait()
"""


def gcs_server(listen: str = "127.0.0.1") -> AbstractContextManager[str]:
    """The endpoint's URL; it has an empty bucket, `models`."""
    return stand_in(_SERVER, listen)


def gcs_variables(endpoint: str) -> dict[str, str]:
    """The environment of a program that is to use it, and to look for Google's credentials nowhere."""
    return {"STORAGE_EMULATOR_HOST": endpoint, "NO_GCE_CHECK": "true", "GOOGLE_APPLICATION_CREDENTIALS": ""}
