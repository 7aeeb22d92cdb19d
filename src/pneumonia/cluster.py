"""Tasks on an existing Dask cluster: the machines that run its workers see this project and its data at the same paths."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from pneumonia import extras

Result = TypeVar("Result")
CONNECT_SECONDS = 20


def run(function: Callable[..., Result], tasks: Iterable[tuple[object, ...]], scheduler: str) -> Iterator[Result]:
    """Results of `function(*task)` for every task, as they end.

    A task whose worker dies runs again on another one, so it must give the same result twice.

    Arguments:
        scheduler: the cluster's address, such as `tcp://node1:8786`.

    Raises:
        ValueError: nothing answers at `scheduler`.
        ModuleNotFoundError: the package distributed is not installed.
        Exception: what a task raises.
    """
    extras.require("distributed", what="images.executor: dask")
    from distributed import Client, as_completed

    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"images.scheduler: no Dask cluster answers at {scheduler!r} within {CONNECT_SECONDS} s; "
            "start one with `dask scheduler` and `dask worker ADDRESS`, or set images.executor to processes"
        ) from error
    with client:
        futures = [client.submit(function, *task, pure=False) for task in tasks]
        for future, result in as_completed(futures, with_results=True, loop=client.loop):
            future.release()
            yield result
