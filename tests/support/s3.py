"""moto's server, which speaks S3's protocol: started once, in a process of its own, since it patches what it likes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache

import pytest

from support.stand_in import stand_in

_SERVER = """
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
server._thread.join()
"""


def s3_server() -> AbstractContextManager[str]:
    """The endpoint's URL."""
    return stand_in(_SERVER)


@contextmanager
def s3_data_read_once() -> Iterator[None]:
    """Each client reads a megabyte of JSON about S3, and each test has clients of its own: here they share it."""
    import botocore.session

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(botocore.session, "create_loader", cache(botocore.session.create_loader))
        yield


def s3_variables(endpoint: str) -> dict[str, str]:
    """The environment of a program that is to use it."""
    return {
        "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }  # fmt: skip
