"""Tasks on an existing Dask cluster: the machines that run its workers see this project and its data at the same paths."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from itertools import islice
from typing import Any, TypeVar

from pneumonia import extras

Result = TypeVar("Result")
CONNECT_SECONDS = 20
AHEAD = (
    2  # tasks given to the cluster for each of its threads: the next ones are there when one ends, and no long queue
)


def run(
    function: Callable[..., Result],
    tasks: Iterable[tuple[Any, ...]],
    scheduler: str,
    *,
    lost: Callable[..., Result] | None = None,
    alone: bool = False,
) -> Iterator[Result]:
    """Results of `function(*task)` for every task, as they end. Tasks are drawn as the cluster has room for them.

    A task whose worker dies runs again on another one, so it must give the same result twice.

    Arguments:
        scheduler: the cluster's address, such as `tcp://node1:8786`.
        lost: gives the result of a task that Dask no longer tries, as every worker died that had it; so may one have that
            only stood in the same queue. None: that is an error.
        alone: one task after the other.

    Raises:
        ValueError: nothing answers at `scheduler`.
        ConnectionError: it answers no more.
        ModuleNotFoundError: the package distributed is not installed.
        Exception: what a task raises.
    """
    extras.require("distributed", what="work on a Dask cluster")
    from distributed import Client, KilledWorker, as_completed

    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"no Dask cluster answers at {scheduler!r} within {CONNECT_SECONDS} s; start one with `dask scheduler` and "
            "`dask worker ADDRESS`, or work without (images.executor: processes; predict without --scheduler)"
        ) from error
    with client:
        waiting = iter(tasks)
        running = as_completed(loop=client.loop)
        given: dict[Any, tuple[Any, ...]] = {}  # by the keys of their futures
        while True:
            room = 1 if alone else AHEAD * max(1, sum(client.nthreads().values()))
            for task in islice(waiting, max(0, room - len(given))):
                future = client.submit(function, *task, pure=False)
                given[future.key] = task
                running.add(future)
            if not given:
                return
            future = next(running)
            task = given.pop(future.key)
            try:
                result = future.result()
            except KilledWorker:
                if lost is None:
                    raise
                result = lost(*task)
            except CancelledError as error:
                raise ConnectionError(f"the Dask cluster at {scheduler!r} answers no more") from error
            future.release()
            yield result


def worker() -> tuple[str, int]:
    """Address and threads of the worker whose task asks."""
    from distributed import get_worker

    own = get_worker()
    return str(own.address), int(own.state.nthreads)
