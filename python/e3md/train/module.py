"""One optimization step and one validation, as Lightning wants them."""

import copy
import math
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from e3md.data.dataset import Sample
from e3md.derivatives import predict
from e3md.model.architecture import Architecture, Reach
from e3md.train.config import TrainingConfig
from e3md.train.loss import combine, count_terms, error_means, error_sums, loss, penalties
from e3md.train.optimizers import make_optimizer
from e3md.train.schedule import is_settled, rate

NORM_MEMORY = 100  # steps


class DivergedError(ValueError):
    """The loss is no longer a number; the message says when and what to change."""


class PotentialTraining(lightning.LightningModule):
    """A model, the moving average of its weights (which is what gets exported), and the loss."""

    usual_norm: Tensor  # () mean over the last steps, about NORM_MEMORY, of the gradient's norm

    def __init__(
        self, model: Architecture, config: TrainingConfig, scale: float, n_steps: int, reach: Reach
    ) -> None:
        super().__init__()
        self.model = model
        self.average = copy.deepcopy(model).requires_grad_(False)
        self.config = config
        self.scale = scale
        self.n_steps = n_steps
        self.reach = reach
        self.register_buffer("usual_norm", torch.zeros(()))

    def on_fit_start(self) -> None:
        for model in (self.model, self.average):
            model.learn(self.reach)
        self.learned = tuple(p for p in self.model.parameters() if p.requires_grad)
        pairs = zip(self.model.parameters(), self.average.parameters(), strict=True)
        self.averaged = tuple((own, mean) for own, mean in pairs if own.is_floating_point())

    def backward(self, loss: Tensor, *_: Any, **__: Any) -> None:
        # To the parameters only: nobody asks for third derivatives to the edge vectors.
        loss.backward(inputs=list(self.learned))

    def configure_gradient_clipping(self, *_: Any, **__: Any) -> None:
        """A batch that pulls much harder than others do must not throw the weights far off.

        The limit follows the gradients, which shrink by orders of magnitude while a model learns
        (as AutoClip, Seetharaman et al., arXiv:2007.14469).
        """
        gradients = [p.grad for p in self.learned if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        usual = torch.where(self.usual_norm > 0, self.usual_norm, norm)
        limit = self.config.gradient_clip * usual
        scale = (limit / (norm + 1e-30)).clamp(max=1.0)
        torch._foreach_mul_(gradients, scale)
        self.usual_norm.copy_(usual.lerp(scale * norm, 1 / NORM_MEMORY))

    def on_train_epoch_start(self) -> None:
        self.train_sums = torch.zeros(6, dtype=torch.float64, device=self.device)

    def training_errors(self) -> dict[str, float]:
        """Of the epoch so far, each batch with the weights it met; a call of all processes."""
        total = self.trainer.strategy.reduce(self.train_sums, reduce_op="sum")
        means = error_means(*total.split([4, 2]))
        return {f"train_{name}": float(value) for name, value in means.items()}

    def training_step(self, batch: Sample, _: int) -> Tensor:
        prediction = predict(self.model, batch.graph, create_graph=True)
        own = count_terms(batch)
        with torch.no_grad():
            self.train_sums += torch.cat([error_sums(prediction, batch), own[:2]])
        counts = self.trainer.strategy.reduce(own, reduce_op="mean")
        value = loss(prediction, batch, self.config.loss, self.scale, counts)
        whole = self.trainer.strategy.reduce(value.detach().clone(), reduce_op="mean")
        if not math.isfinite(whole.item()):
            raise DivergedError(
                f"the training loss became {whole.item()} in epoch {self.current_epoch + 1}: lower "
                "training.learning_rate or training.gradient_clip, and look at the data's warnings"
            )
        n_frames = round(counts[0].item() * self.trainer.world_size)
        self.log("train_loss", whole, on_epoch=True, on_step=False, batch_size=n_frames)
        return value

    def on_train_batch_end(self, *_: Any) -> None:
        # At first the average follows closely, so that it does not remember the random start.
        step = self.global_step
        decay = min(self.config.ema_decay, step / (step + 10))
        with torch.no_grad():
            own, average = zip(*self.averaged, strict=True)
            torch._foreach_lerp_(average, own, 1 - decay)

    def on_validation_epoch_start(self) -> None:
        self.valid_sums = torch.zeros(10, dtype=torch.float64, device=self.device)

    def validation_step(self, batch: Sample, _: int) -> None:
        with torch.enable_grad():
            prediction = predict(self.average, batch.graph)
        found = penalties(prediction, batch, self.config.loss, self.scale)
        self.valid_sums += torch.cat([found, count_terms(batch), error_sums(prediction, batch)])

    def on_validation_epoch_end(self) -> None:
        """Added up over batches and processes, so that neither changes what is found."""
        total = self.trainer.strategy.reduce(self.valid_sums, reduce_op="sum")
        found, counts, errors = total.split([3, 3, 4])
        for name, value in error_means(errors, counts[:2]).items():
            self.log(f"valid_{name}", value, prog_bar=name.endswith("mae"))
        self.log("valid_loss", combine(found, counts, self.config.loss))

    def on_train_epoch_end(self) -> None:
        self.log("learning_rate", self.optimizers().param_groups[0]["lr"])  # type: ignore[union-attr]
        scheduler = self.lr_schedulers()
        if isinstance(scheduler, ReduceLROnPlateau):
            # Lightning's own place for this comes after the checkpoint, which would then resume
            # with the scheduler one epoch behind.
            scheduler.step(self.trainer.callback_metrics["valid_loss"].item())

    def lr_scheduler_step(self, scheduler: Any, metric: Any | None) -> None:
        if not isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step()

    def configure_optimizers(self) -> Any:
        optimizer = make_optimizer(self.model, self.config)
        if self.config.schedule == "plateau":
            plateau = ReduceLROnPlateau(optimizer, factor=0.5, patience=self.config.patience)
            settings = {"scheduler": plateau, "monitor": "valid_loss"}
        else:
            settings = {"scheduler": LambdaLR(optimizer, self._rate), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": settings}

    def is_settled(self, step: int) -> bool:
        """Whether the number of all steps may not change any more."""
        return is_settled(self.config.schedule, step, self.n_steps)

    def _rate(self, step: int) -> float:
        return rate(self.config.schedule, step, self.n_steps, self.config.warmup_steps)
