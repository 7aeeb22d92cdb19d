"""AdamW with warm-up, cosine decay, averaged weights and a learning rate of its own for each part of a network, on every
Keras backend.

Method: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization" (decay) and 2017, "SGDR" (cosine);
Goyal et al. 2017, section 2.2 (warm-up).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from keraskit.compute.backend import device_share

SCHEDULES = ("cosine", "steps")


@keras.saving.register_keras_serializable("keraskit")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Linear rise to `peak`, then a half cosine to 0, or a tenth of it at 80% and again at 90% of the steps.

    `total = 10, warmup = 2, peak = 1`: steps 0, 1 give 0.5, 1; step 6, half of the way down the cosine, gives 0.5.

    Arguments:
        peak: highest learning rate.
        total: steps of the whole training; the schedule stays at its end afterwards.
        warmup: steps that rise.
        schedule: "cosine" or "steps".
    """

    def __init__(self, peak: float, total: int, warmup: int, schedule: str = "cosine"):
        if schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {SCHEDULES}, got {schedule!r}")
        if not 0 <= warmup < max(total, 1):
            raise ValueError(f"warm-up steps must lie in [0, {total}), the training's steps; got {warmup}")
        self.peak, self.total, self.warmup, self.schedule = float(peak), int(total), int(warmup), schedule

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        # Step 0 already learns: rise over (1 .. warmup) / warmup, not (0 .. warmup - 1) / warmup.
        rise = (step + 1.0) / max(self.warmup, 1)
        done = ops.clip((step - self.warmup) / max(self.total - self.warmup, 1), 0.0, 1.0)
        if self.schedule == "cosine":
            fall = 0.5 * (1.0 + ops.cos(math.pi * done))
        else:
            share = step / max(self.total, 1)
            fall = ops.where(share < 0.8, 1.0, ops.where(share < 0.9, 0.1, 0.01))
        return self.peak * ops.where(step < self.warmup, rise, fall)

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "total": self.total, "warmup": self.warmup, "schedule": self.schedule}


@keras.saving.register_keras_serializable("keraskit")
class AdamW(keras.optimizers.Adam):
    """Adam with decoupled decay of kernels and a factor on the learning rate of each variable.

    Keras' own AdamW decays every variable alike and knows one learning rate. Here biases and the scale and offset of
    normalisations (all of rank below 2) never decay, and `multipliers` gives the factor: regular expression searched in
    `variable.path` -> factor; the first that matches counts, 1 without a match. Decay shrinks with the factor too.

    Arguments:
        average: decay, a step, of a moving average of the weights, kept in `averages`, one for each variable; 0: none.
            The first steps count more, as in TensorFlow's `ExponentialMovingAverage`: step t, from 0, leaves the
            smaller of `average` and t / (t + 9) of what was. The weights themselves learn as without it.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        decay: float = 0.0,
        multipliers: Mapping[str, float] | None = None,
        average: float = 0.0,
        **options: Any,
    ):
        super().__init__(learning_rate=learning_rate, **options)
        self.decay, self.average = float(decay), float(average)
        self.averages: list[keras.Variable] = []
        self.multipliers = {pattern: float(factor) for pattern, factor in (multipliers or {}).items()}

    def build(self, var_list: Sequence[keras.Variable]) -> None:
        first = not self.built
        if first:
            # TensorFlow's update step sees backend variables without a path, so factors are looked up here, by index.
            self._factors = [self.factor(variable.path) for variable in var_list]
            self._decays = [len(variable.shape) >= 2 for variable in var_list]
        super().build(var_list)
        if first and self.average:
            self.averages = [self.add_variable_from_reference(v, name="average") for v in var_list]

    def factor(self, path: str) -> float:
        """The factor on the learning rate of the variable of this path."""
        for pattern, factor in self.multipliers.items():
            if re.search(pattern, path):
                return factor
        return 1.0

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        if self._factors[index] != 0:
            rate = ops.cast(learning_rate, variable.dtype) * self._factors[index]
            if self.decay and self._decays[index]:
                self.assign_sub(variable, ops.multiply(variable, rate * self.decay))
            super().update_step(gradient, variable, rate)
        if self.average:
            mean = self.averages[index]
            share = ops.maximum(1.0 - self.average, 9.0 / (ops.cast(self.iterations, "float32") + 9.0))
            self.assign_add(mean, ops.multiply(ops.subtract(variable, mean), ops.cast(share, variable.dtype)))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["weight_decay"]
        return {**config, "decay": self.decay, "multipliers": self.multipliers, "average": self.average}


def adamw(
    learning_rate: float,
    total_steps: int,
    warmup: float = 0.0,
    weight_decay: float = 0.0,
    clip_norm: float | None = None,
    multipliers: Mapping[str, float] | None = None,
    *,
    schedule: str = "cosine",
    beta_2: float = 0.999,
    average: float = 0.0,
) -> AdamW:
    """The optimizer of every training here.

    A training in phases (`trainable` switched between them) compiles the model with a new optimizer for each phase: an
    optimizer knows only the variables that were trainable at its first step.

    Arguments:
        learning_rate: peak rate, after the warm-up, of variables whose multiplier is 1.
        total_steps: batches of the whole training (of the phase).
        warmup: share of the steps with rising rate, in [0, 1).
        weight_decay: decoupled, times the learning rate, on kernels only (variables of rank 2 and more).
        clip_norm: bound on the global norm of the gradient; None or 0: no bound.
        multipliers: regular expression on `variable.path` -> factor on the learning rate; the first match counts.
        schedule: after the warm-up, "cosine" to 0 or "steps" (x 0.1 at 80% and at 90%).
        average: see `AdamW`.
    """
    if total_steps < 1:
        raise ValueError(f"total_steps must be at least 1, got {total_steps}: is the training set empty?")
    if not 0 <= warmup < 1:
        raise ValueError(f"warmup is a share of the steps and must lie in [0, 1), got {warmup}")
    rate = WarmUp(learning_rate, total_steps, math.floor(warmup * total_steps), schedule)
    bound = device_share(clip_norm) if clip_norm else None
    return AdamW(
        rate, decay=weight_decay, multipliers=multipliers, average=average, global_clipnorm=bound, beta_2=beta_2
    )
