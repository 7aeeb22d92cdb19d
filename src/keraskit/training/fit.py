"""Training that can be stopped and goes on: one epoch at a time, early stopping, best weights, a state file.

What makes a resumed training end with the same bytes as an unbroken one: the state holds every variable of model and
optimizer (dropout's seeds among them), and batches depend on nothing but the number of their epoch.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np

if TYPE_CHECKING:
    from tqdm import tqdm

Logs = dict[str, float]


def fit(
    model: keras.Model,
    batches: Callable[[int], keras.utils.PyDataset],
    *,
    epochs: int,
    validate: Callable[[], Logs] | None = None,
    monitor: str = "loss",
    mode: str = "min",
    patience: int = 0,
    state: Path | None = None,
    on_epoch: Callable[[int, Logs], None] | None = None,
    first_epoch: int = 1,
    baseline: float | None = None,
    title: str = "training",
) -> list[Logs]:
    """Train a compiled, built model; at the end it has the weights of its best epoch.

    Where the optimizer keeps an average of the weights (`AdamW.average`), the average is what is validated and kept.

    A training in phases calls this once a phase with a `state` of its own each: a phase that is done is not trained
    again, its best weights and history are read from its state.

    Arguments:
        model: compiled; functional, or built.
        batches: epoch -> `keras.utils.PyDataset`. All its randomness must come from the epoch and the index of a batch.
            Batches should have one shape, so that nothing is compiled twice.
        epochs: how many at most, counted from `first_epoch`.
        validate: called after each epoch; its values join the epoch's logs (name them `val_...`).
        monitor, mode: the value that decides which epoch is best, and whether "max" or "min" is better.
        patience: epochs without a better value before it ends; 0: never.
        state: file to resume from, written after each epoch; None: not resumable. The caller deletes it.
        on_epoch: called with the epoch's number and logs, first for the epochs read from `state`.
        first_epoch: number of the first epoch; epochs count from 1.
        baseline: value of `monitor` before the first epoch; if no epoch beats it, the weights stay as they were.
        title: stands before the progress bar (standard error; time left is that of all epochs).

    Returns:
        One dict an epoch: `epoch`, the model's losses and metrics, `learning_rate`, what `validate` gave.

    Raises:
        FloatingPointError: the loss is not finite. KeyboardInterrupt: with a message on how to go on.
        ValueError: `monitor` is not among the logs; `state` is of another model.
    """
    if mode not in ("max", "min"):
        raise ValueError(f"mode must be 'max' or 'min', got {mode!r}")
    if not model.compiled or not model.built:
        raise ValueError(f"model {model.name!r} must be compiled and built before it is trained")
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    history: list[Logs] = []
    best = _weights(model)
    if state is not None and Path(state).exists():
        history, best = _load(Path(state), model)
    if on_epoch is not None:
        for logs in history:
            on_epoch(int(logs["epoch"]), logs)

    bar: tqdm | None = None
    try:
        while len(history) < epochs and not _out_of_patience(history, monitor, mode, patience, baseline):
            epoch = first_epoch + len(history)
            data = batches(epoch)
            if bar is None:
                bar = _progress(title, done=len(history), epochs=epochs, steps=data.num_batches)
            logs = _one_epoch(model, data, epoch, bar)
            with averaged(model):
                if validate is not None:
                    logs.update({name: float(value) for name, value in validate().items()})
                if monitor not in logs:
                    raise ValueError(f"monitor {monitor!r} is not among the values of an epoch: {sorted(logs)}")
                history.append(logs)
                if _best(history, monitor, mode, baseline) == len(history) - 1:
                    best = _weights(model)
            if state is not None:
                _save(Path(state), model, history, best)
            bar.set_postfix({name: f"{logs[name]:.4f}" for name in dict.fromkeys(["loss", monitor])})
            if on_epoch is not None:
                on_epoch(epoch, logs)
    except KeyboardInterrupt:
        how = f"run the same command again to go on from {state}" if state else "without a state file all is lost"
        raise KeyboardInterrupt(f"{title}: interrupted after {len(history)} of {epochs} epochs; {how}") from None
    finally:
        if bar is not None:
            bar.close()
    model.set_weights(best)
    return history


@contextlib.contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """While it is open the model has the average of its weights, where its optimizer keeps one."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)  # Keras wraps one for float16
    averages = getattr(optimizer, "averages", [])
    variables = model.trainable_variables if averages else []
    # Copies: on a GPU JAX gives an array's memory away, and two variables must not share one.
    own, means = ([np.array(keras.ops.convert_to_numpy(v)) for v in some] for some in (variables, averages))
    for variable, mean in zip(variables, means, strict=True):
        variable.assign(mean)
    try:
        yield
    finally:
        for variable, value in zip(variables, own, strict=True):
            variable.assign(value)


class Phase(NamedTuple):
    """A part of a training with its own trainable weights and optimizer.

    Attributes:
        epochs: how many at most; a phase of none is left out.
        prepare: sets what is trainable and compiles the model. An optimizer knows only the variables that could be
            trained at its first step, so each phase compiles its own.
        patience: as in `fit`.
        title: stands before the progress bar.
    """

    epochs: int
    prepare: Callable[[], None]
    patience: int
    title: str


def fit_phases(
    model: keras.Model,
    batches: Callable[[int], keras.utils.PyDataset],
    phases: Sequence[Phase],
    *,
    monitor: str,
    mode: str,
    validate: Callable[[], Logs] | None = None,
    state: Path | None = None,
    on_epoch: Callable[[int, Logs], None] | None = None,
) -> list[Logs]:
    """`fit`, once a phase: epochs count on, and a phase that never beats those before it leaves the weights as they were.

    Arguments:
        state: the phases' files stand beside it, `<stem>-1<suffix>` and so on; `forget` removes them.
    """
    history: list[Logs] = []
    for number, phase in enumerate(phases, start=1):
        if not phase.epochs:
            continue
        phase.prepare()
        history += fit(
            model,
            batches,
            epochs=phase.epochs,
            validate=validate,
            monitor=monitor,
            mode=mode,
            patience=phase.patience,
            state=None if state is None else _phase_file(state, number),
            on_epoch=on_epoch,
            first_epoch=len(history) + 1,
            baseline=best_epoch(history, monitor, mode)[monitor] if history else None,
            title=phase.title,
        )
    return history


def forget(state: Path | None, phases: int) -> None:
    """Remove the files of a training in `phases` phases that is done."""
    if state is not None:
        for number in range(1, phases + 1):
            _phase_file(state, number).unlink(missing_ok=True)


def _phase_file(state: Path, number: int) -> Path:
    return state.with_name(f"{state.stem}-{number}{state.suffix}")


def best_epoch(history: list[Logs], monitor: str, mode: str) -> Logs:
    """The logs of the best epoch of a history; the earliest of equals."""
    index = _best(history, monitor, mode, None)
    if index < 0:
        raise ValueError(f"no epoch has a finite {monitor!r}; the history has {len(history)} epochs")
    return history[index]


class _Tick(keras.callbacks.Callback):
    def __init__(self, bar: tqdm):
        super().__init__()
        self.bar = bar

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.bar.update(1)


def _one_epoch(model: keras.Model, data: keras.utils.PyDataset, epoch: int, bar: tqdm) -> Logs:
    # shuffle=False: the order of the batches is the data set's own, from its seed.
    result = model.fit(data, epochs=1, verbose=0, shuffle=False, callbacks=[_Tick(bar)])
    logs = {name: float(values[-1]) for name, values in result.history.items()}
    if not math.isfinite(logs["loss"]):
        raise FloatingPointError(
            f"loss is {logs['loss']} in epoch {epoch}: lower the learning rate, clip the gradient or use float32"
        )
    rate = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
    return {"epoch": epoch, **logs, "learning_rate": rate}


def _best(history: list[Logs], monitor: str, mode: str, baseline: float | None) -> int:
    """Index of the best epoch, the earliest of equals; -1 if none beats the baseline or is a number."""
    index, top = -1, baseline
    for i, logs in enumerate(history):
        value = logs[monitor]
        if math.isnan(value):
            continue
        if top is None or (value > top if mode == "max" else value < top):
            index, top = i, value
    return index


def _out_of_patience(history: list[Logs], monitor: str, mode: str, patience: int, baseline: float | None) -> bool:
    return patience > 0 and len(history) - 1 - _best(history, monitor, mode, baseline) >= patience


def _progress(title: str, done: int, epochs: int, steps: int | None) -> tqdm:
    from tqdm import tqdm

    total = None if steps is None else epochs * steps
    # A log file gets a line every 30 seconds at most, a terminal a lively bar.
    interval = 0.5 if sys.stderr.isatty() else 30.0
    return tqdm(total=total, initial=done * (steps or 0), desc=title, unit="batch", mininterval=interval, leave=True)


def _weights(model: keras.Model) -> list[np.ndarray]:
    """Copies: PyTorch's arrays are views of the weights, which go on learning."""
    return [np.array(weight) for weight in model.get_weights()]


def _variables(model: keras.Model) -> list[keras.Variable]:
    # Not `model.weights`: that leaves out the seeds of dropout.
    return [*model.trainable_variables, *model.non_trainable_variables, *model.optimizer.variables]


def _save(path: Path, model: keras.Model, history: list[Logs], best: list[np.ndarray]) -> None:
    variables = _variables(model)
    arrays = {f"variable/{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(variables)}
    arrays |= {f"best/{i}": array for i, array in enumerate(best)}
    head = {"history": history, "shapes": [list(variable.shape) for variable in variables]}
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            np.savez(stream, head=np.frombuffer(json.dumps(head).encode(), np.uint8), **arrays)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _load(path: Path, model: keras.Model) -> tuple[list[Logs], list[np.ndarray]]:
    variables = _variables(model)
    with np.load(path, allow_pickle=False) as file:
        head = json.loads(file["head"].tobytes())
        shapes = [list(variable.shape) for variable in variables]
        if head["shapes"] != shapes:
            raise ValueError(
                f"{path} is the state of another model or optimizer: it has {len(head['shapes'])} variables, this one "
                f"{len(shapes)}, and their shapes differ. Delete it to train from the beginning."
            )
        for i, variable in enumerate(variables):
            variable.assign(file[f"variable/{i}"])
        best = [file[f"best/{i}"] for i in range(len(model.weights))]
    return head["history"], best
