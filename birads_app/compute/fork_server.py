"""Process that loads what reading files needs, and forks a process for the server whenever it is asked to.

It has a single thread, so that forking is safe, and starts no process of its own accord. Run as
``python -m birads_app.compute.fork_server DESCRIPTOR LIMITS LOG_LEVEL LOG_FORMAT MODULE...``
"""

import gc
import importlib
import json
import os
import signal
import socket
import sys

from birads_app.compute.process import Limits, serve
from birads_app.logs import configure_logging


def main(descriptor: int, limits: Limits, logging_options: list[str], modules: list[str]) -> None:
    """Fork a process for each socket that is received, until the server ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server decides when work ends
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system reaps
    configure_logging(*logging_options)
    control = socket.socket(fileno=descriptor)
    gc.disable()  # what is loaded stays
    for module in modules:
        importlib.import_module(module)
    gc.enable()
    gc.freeze()
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not request:
            return
        if os.fork() == 0:
            control.close()
            with socket.socket(fileno=descriptors[0]) as connection:
                serve(connection, limits)
            os._exit(0)
        os.close(descriptors[0])


if __name__ == "__main__":
    main(int(sys.argv[1]), Limits(**json.loads(sys.argv[2])), sys.argv[3:5], sys.argv[5:])
