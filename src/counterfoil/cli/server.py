"""`counterfoil serve` and `counterfoil worker`: run until told to stop, then stop in good order."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import signal
import socket
import sys
import threading
from typing import Any

import uvloop
from fastapi import FastAPI
from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from counterfoil import log
from counterfoil import settings as settings_table
from counterfoil.compose import build, build_app
from counterfoil.errors import CounterfoilError
from counterfoil.settings import Settings

_M_ARENA_MAX = -8
_ARENAS = 2
"""Pools of freed memory that glibc keeps. Left to itself it opens one for each new thread up to eight a core, and each
export has threads of its own: the process grew by 30 MB with each large one, and was no faster for it (decision 0021)."""


def serve(given: dict[str, Any]) -> None:
    """API and worker in one process, until SIGTERM or SIGINT."""
    settings = settings_table.load(given)
    log.configure(settings.log_level, settings.log_format)
    _bound_arenas()
    port = settings.port or _free_port(settings.host)
    _require_free(settings.host, port)
    system = build(settings)
    try:
        app = build_app(system)
        # What is loaded by now stays: the garbage collector need not go over it again, which takes a tenth of a second.
        gc.collect()
        gc.freeze()
        system.workers.start()
        sys.stderr.write(f"counterfoil: serving on http://{settings.host}:{port}\n")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(app, settings, port))
    finally:
        system.close()


async def _serve(app: FastAPI, settings: Settings, port: int) -> None:
    server = Server(
        app,
        address=settings.host,
        port=port,
        interface=Interfaces.ASGI,
        http1_settings=HTTP1Settings(keep_alive=True),
        websockets=False,
        log_enabled=False,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    await server.serve()


def work(given: dict[str, Any]) -> None:
    """A worker alone, until SIGTERM or SIGINT; a running export is given back unharmed."""
    settings = settings_table.load(given)
    log.configure(settings.log_level, settings.log_format)
    _bound_arenas()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    system = build(settings)
    try:
        system.workers.start()
        sys.stderr.write("counterfoil: worker running\n")
        stop.wait()
    finally:
        system.close()


def _bound_arenas() -> None:
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_M_ARENA_MAX, _ARENAS)


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _require_free(host: str, port: int) -> None:
    """Say in one line that the port is taken, instead of a trace from inside the server."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CounterfoilError(
                "port_taken", f"Cannot listen on {host}:{port} ({error.strerror}); choose another with --port"
            ) from error
