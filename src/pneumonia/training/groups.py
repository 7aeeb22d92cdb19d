"""Values of a training that travel together, under the names that they have in params.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from keraskit.training.optimizers import AdamW

Group = TypeVar("Group")


def pick(group: type[Group], values: Mapping[str, Any]) -> Group:
    """A group, a dataclass, of those of a section's plain values that have the names of its fields."""
    return group(**{field.name: values[field.name] for field in fields(group)})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Sampling:
    """Which studies an epoch shows.

    Attributes:
        batch_size: studies.
        negatives_per_positive: an epoch has all positives, and this many negatives for each; 0: all studies.
        seed: of the order, and of all that is random in a batch.
    """

    batch_size: int
    negatives_per_positive: float
    seed: int


@dataclass(frozen=True)
class Epochs:
    """How long a training in two phases lasts at most.

    Attributes:
        epochs: of both phases.
        heads_epochs: the first of them, in which the backbone is frozen.
    """

    epochs: int
    heads_epochs: int


@dataclass(frozen=True)
class Stopping:
    """When a training, or a phase of it, ends before its last epoch.

    Attributes:
        monitor: `ap50` or `loss`, of the validation studies: what decides which epoch is best.
        patience: epochs without a better one.
    """

    monitor: str
    patience: int


@dataclass(frozen=True)
class Optimization:
    """How a network with a backbone learns.

    Attributes:
        learning_rate: peak, after the warm-up, of the heads.
        backbone_rate: learning rate of the backbone, as a multiple of the heads'.
        warmup: share of the steps with rising learning rate; then cosine.
        weight_decay: decoupled, on kernels only.
        clip_norm: bound on the global norm of the gradient.
    """

    learning_rate: float
    backbone_rate: float
    warmup: float
    weight_decay: float
    clip_norm: float

    def optimizer(self, steps: int, heads: str, rate: float = 1.0, average: float = 0.0) -> AdamW:
        """The optimizer of a phase.

        Arguments:
            steps: batches of the phase.
            heads: regular expression of the paths of the variables that are not the backbone's.
            rate: of the phase, as a multiple of `learning_rate`.
            average: decay of the average of the weights, see `keraskit.training.optimizers.AdamW`.
        """
        from keraskit.training.optimizers import adamw

        return adamw(
            self.learning_rate * rate,
            steps,
            self.warmup,
            self.weight_decay,
            self.clip_norm,
            multipliers={heads: 1.0, "": self.backbone_rate},
            average=average,
        )
