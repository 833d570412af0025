"""Ten exports at once against the same ten one after the other, and a small one that comes while a huge one runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

from bench.case import Case, Contender, Context, Run
from bench.full import REQUEST
from bench.machine import peak_mb, reset_peak
from bench.ours import Server, home_of, serving

_EXPORTS = 10
_SMALL = {**REQUEST, "filters": {"voucher_id": {"conditions": {"$is": ["none"]}}}}


def cases(context: Context) -> Iterator[Case]:
    """`ten-at-once`: a tenth of the time each. `small-beside-huge`: how long the small one takes."""
    if not (context.wanted("ten-at-once") or context.wanted("small-beside-huge")):
        return
    with serving(home_of(context)) as server:
        tenth = {**REQUEST, "filters": {"amount": {"conditions": {"$more_than": [450]}}}}
        yield Case(
            "ten-at-once",
            "Ten exports of the largest amounts, each its own file",
            [
                Contender("Counterfoil, at once", partial(_ten, server, tenth, at_once=True)),
                Contender("Counterfoil, one after the other", partial(_ten, server, tenth, at_once=False)),
            ],
        )
        yield Case(
            "small-beside-huge",
            "An export of one card, alone and while a full one runs",
            [
                Contender("Counterfoil, beside", partial(_small, server, beside=True)),
                Contender("Counterfoil, alone", partial(_small, server, beside=False)),
            ],
        )


def _ten(server: Server, request: dict[str, object], *, at_once: bool) -> Run:
    reset_peak(server.process.pid)
    started_s = time.perf_counter()
    if at_once:
        asked = [server.export(request)["id"] for _ in range(_EXPORTS)]
        found = [server.done(export_id) for export_id in asked]
    else:
        found = [server.done(server.export(request)["id"]) for _ in range(_EXPORTS)]
    seconds = time.perf_counter() - started_s
    peak = peak_mb(server.process.pid)
    server.forget()
    rows, size_bytes = (sum(each["result"][name] for each in found) for name in ("rows", "bytes"))
    return Run(seconds, peak, rows, size_bytes)


def _small(server: Server, *, beside: bool) -> Run:
    huge = server.export(REQUEST) if beside else None
    if huge is not None:
        while server.status(huge["id"]) == "SCHEDULED":
            time.sleep(0.005)
    started_s = time.perf_counter()
    found = server.done(server.export(_SMALL)["id"])
    seconds = time.perf_counter() - started_s
    first = huge is None or server.status(huge["id"]) != "DONE"
    if huge is not None:
        server.done(huge["id"])
    server.forget()
    return Run(seconds, None, found["result"]["rows"], found["result"]["bytes"], {"was done first": float(first)})
