"""A process with the receiver in it, as an API server worker has it. Prints its port; ends with its parent's pipe."""

from __future__ import annotations

import os
import socket
import sys
import threading

import uvicorn
from fastapi import FastAPI

from airflow_provider_smartlive.receiver.app import create_app


def main() -> None:
    app = FastAPI()
    app.mount("/smartlive", create_app())
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))

    def stop_with_parent() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=stop_with_parent, daemon=True).start()
    print(listener.getsockname()[1], flush=True)  # noqa: T201 - the parent reads it, and nothing after it
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()
