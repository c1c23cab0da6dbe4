"""Running independent tasks with Dask: on this machine, or on the workers of a cluster.

The results come back in the order of the tasks, whoever computed them and when, so that a sum over
them does not depend on the machine. Inside a task, linear algebra runs on one thread: the tasks are
what runs side by side, and the threads of both would wait for each other; and a product of matrices
has the same last digits on any number of cores.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from storage.errors import TidenetError

if TYPE_CHECKING:
    from distributed import Client

Progress = Callable[[int, int, str], None]
"""Called with tasks done, tasks in all, and a word about what they do."""
Run = Callable[[str, Callable[..., Any], Sequence[tuple[Any, ...]]], list[Any]]
"""Called with a word about the tasks, a function, and the arguments of each task."""

# More tasks at once on one machine would need more memory, not less time.
_MOST_THREADS = 4
_CONNECT_S = 30
_LOCAL = ("", "threads", "synchronous")


class ClusterUnavailableError(TidenetError):
    """The Dask scheduler that was named does not answer."""


def no_progress(done: int, total: int, detail: str) -> None:
    """Show no progress."""


def one_thread() -> AbstractContextManager[Any]:
    """Return a context in which linear algebra runs on one thread."""
    from threadpoolctl import threadpool_limits

    context: AbstractContextManager[Any] = threadpool_limits(1, user_api="blas")
    return context


@contextmanager
def task_runner(scheduler: str, progress: Progress) -> Iterator[Run]:
    """Yield what runs tasks.

    Parameters
    ----------
    scheduler
        Address of a Dask scheduler (``tcp://host:8786``); ``synchronous`` for one task after the
        other; ``threads`` or nothing for threads of this process.
    progress
        Called after each task.

    Raises
    ------
    ClusterUnavailableError
        If the scheduler does not answer.
    """
    if scheduler in _LOCAL:
        with one_thread():
            yield _local_runner(scheduler or "threads", progress)
        return
    from distributed import Client

    try:
        client = Client(scheduler, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ClusterUnavailableError(
            "The Dask scheduler does not answer.",
            found=f"{scheduler}: {type(error).__name__}",
            expected="a running scheduler with workers that have tidenet installed",
            remedy="Start it, or correct or empty TIDENET_DASK_SCHEDULER.",
        ) from error
    with client, client.as_current():
        yield _cluster_runner(client, progress)


def _local_runner(scheduler: str, progress: Progress) -> Run:
    def run(
        detail: str, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]
    ) -> list[Any]:
        import dask
        from dask.callbacks import Callback

        tasks = [dask.delayed(function, pure=False, traverse=False)(*row) for row in arguments]
        names = {task.key for task in tasks}
        done = 0

        def after(key: str, *_: object) -> None:
            nonlocal done
            if key in names:
                done += 1
                progress(done, len(tasks), detail)

        n_threads = min(_MOST_THREADS, os.cpu_count() or 1)
        with Callback(posttask=after):
            return list(
                dask.compute(
                    *tasks, scheduler=scheduler, num_workers=n_threads, optimize_graph=False
                )
            )

    return run


def _cluster_runner(client: "Client", progress: Progress) -> Run:
    def run(
        detail: str, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]
    ) -> list[Any]:
        import dask
        from distributed import as_completed

        tasks = [
            dask.delayed(_alone, pure=False, traverse=False)(function, *row) for row in arguments
        ]
        futures = client.compute(tasks, optimize_graph=False)
        for done, _ in enumerate(as_completed(futures), start=1):
            progress(done, len(futures), detail)
        return list(client.gather(futures))

    return run


def _alone(function: Callable[..., Any], *arguments: Any) -> Any:
    with one_thread():
        return function(*arguments)
