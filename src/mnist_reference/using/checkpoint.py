"""Files of a training run, written atomically.

- :func:`save_checkpoint`, :func:`load_checkpoint`: the weights of a trained model with their provenance, in one
  safetensors file.
- :func:`save_training_state`, :func:`load_training_state`: the state from which an interrupted training run continues
  with the same bits, in a file of ``torch.save``; it can be used only with the same recipe, seed and data.
"""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from mnist_reference.data.augment import Augmentation
from mnist_reference.errors import CheckpointError, ModelError
from mnist_reference.files import replacing, write_tensors
from mnist_reference.models.networks import CnnConfig, Model, ModelConfig, PerceptronConfig, constructed, number_lost
from mnist_reference.training.recipes import Recipe
from mnist_reference.training.train import EpochRecord, Scores, TrainingState

FORMAT_VERSION = 1
"""Version of the format; raised if code for the old version would misread the new one."""

METADATA_KEY = "mnist_reference"
"""The one key of the file's metadata; its value is JSON."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """Where the weights of a checkpoint came from.

    Attributes:
        recipe: Recipe of the training run.
        seed: Seed of the training run.
        data_set: Name of the data set.
        data_sha256: Digest of the data set.
        top1_accuracy: Accuracy on its test split after the last epoch.
        negative_log_likelihood: Negative log-likelihood on its test split after the last epoch, in nat.
        revision: Commit of the source code, if known.
        num_threads: Number of threads of the training run, if known; other numbers give other bits.
    """

    recipe: Recipe
    seed: int
    data_set: str
    data_sha256: str
    top1_accuracy: float
    negative_log_likelihood: float
    revision: str | None
    num_threads: int | None = None


def save_checkpoint(path: Path, model: Model, provenance: Provenance) -> None:
    """Write a checkpoint; an existing file is replaced atomically.

    Raises:
        CheckpointError: If it cannot be written, or a weight is not finite.
    """
    _require_finite(path, model.state_dict())
    facts = {"format_version": FORMAT_VERSION, "model": asdict(model.config), **asdict(provenance)}
    with _explaining_refusal(path):
        write_tensors(path, model.state_dict(), {METADATA_KEY: json.dumps(facts, allow_nan=False)})


def load_checkpoint(path: Path) -> tuple[Model, Provenance]:
    """Read a checkpoint.

    Returns:
        The model, on the CPU, and its provenance.

    Raises:
        CheckpointError: If the file does not exist, it is not a checkpoint of this model, or a weight is not finite.
    """
    if not path.is_file():
        raise CheckpointError(
            "no such checkpoint", looked_in=str(path), next_step=f"python -m mnist_reference train --output {path}"
        )
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})[METADATA_KEY], parse_constant=_refused)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        model, provenance = _from_facts(facts)
        model.load_state_dict(tensors)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RuntimeError, ModelError) as error:
        raise CheckpointError(
            f"not a checkpoint of format version {FORMAT_VERSION}: {type(error).__name__}: {error}",
            looked_in=str(path),
            next_step="train writes checkpoints; weights of other programs do not load",
        ) from error
    _require_finite(path, tensors)
    return model, provenance


def _refused(constant: str) -> None:
    """Refuse NaN and infinity, which are not JSON although Python reads them.

    Raises:
        ValueError: Always; the message names the constant.
    """
    raise ValueError(f"a number is {constant}")


def _require_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Refuse weights that are NaN or infinite.

    Raises:
        CheckpointError: If there is one; the message names the first.
    """
    lost = number_lost(tensors)
    if lost:
        raise CheckpointError(
            f"the model has diverged: {lost}",
            looked_in=str(path),
            next_step="train it again at a smaller learning rate",
        )


def _from_facts(facts: Mapping[str, Any]) -> tuple[Model, Provenance]:
    """A model without its weights, and its provenance, from the metadata of a file."""
    facts = dict(facts)
    if facts.pop("format_version") != FORMAT_VERSION:
        raise ValueError("another format version")
    model = constructed(_config(facts.pop("model")))
    return model, Provenance(recipe=_recipe(facts.pop("recipe")), **facts)


def _recipe(facts: Mapping[str, Any]) -> Recipe:
    augmentation = Augmentation(**facts.get("augmentation", {}))
    return Recipe(**{**facts, "model": _config(facts["model"]), "augmentation": augmentation})


def _config(facts: Mapping[str, Any]) -> ModelConfig:
    if facts.get("architecture") == "cnn":
        return CnnConfig(**{**facts, "channels": tuple(facts["channels"])})
    return PerceptronConfig(**{**facts, "hidden_widths": tuple(facts["hidden_widths"])})


def save_training_state(path: Path, state: TrainingState, *, recipe: Recipe, seed: int, data_sha256: str) -> None:
    """Write the state of a training run, from which it can continue; an existing file is replaced atomically.

    Args:
        path: Path of the file.
        state: State after the last record.
        recipe: Recipe of the training run.
        seed: Seed of the training run.
        data_sha256: Digest of its data set.

    Raises:
        CheckpointError: If it cannot be written.
    """
    content = {
        "origin": _origin(recipe, seed, data_sha256),
        "records": [asdict(record) for record in state.records],
        "weights": state.weights,
        "optimizer": state.optimizer,
        "best_weights": state.best_weights,
        "num_threads": state.num_threads,
    }
    buffer = io.BytesIO()  # torch.save itself does not report why a file cannot be written
    torch.save(content, buffer)
    with _explaining_refusal(path), replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_training_state(path: Path, *, recipe: Recipe, seed: int, data_sha256: str) -> TrainingState:
    """Read the stored state of a training run with the same recipe, seed and data.

    Raises:
        CheckpointError: If the file is damaged, or belongs to another training run; the message says what differs.
    """
    try:
        with path.open("rb") as file:
            content = torch.load(file, map_location="cpu", weights_only=True)
        differing = [
            f"{name} is {json.dumps(content['origin'][name])} there and {json.dumps(value)} here"
            for name, value in _origin(recipe, seed, data_sha256).items()
            if content["origin"][name] != value
        ]
        state = TrainingState(
            records=[_record(facts) for facts in content["records"]],
            **{name: content[name] for name in ("weights", "optimizer", "best_weights", "num_threads")},
        )
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"not the state of a training: {type(error).__name__}: {error}",
            looked_in=str(path),
            next_step="remove it and train from the beginning",
        ) from error
    if differing:
        raise CheckpointError(
            f"the state of another training: {'; '.join(differing)}",
            looked_in=str(path),
            next_step="give that training's recipe, seed and data, or train from the beginning",
        )
    _require_finite(path, state.weights | state.best_weights)
    return state


def _origin(recipe: Recipe, seed: int, data_sha256: str) -> dict[str, Any]:
    """The facts that must be equal when a training run continues, in the form in which JSON returns them."""
    facts: dict[str, Any] = json.loads(json.dumps({"format_version": FORMAT_VERSION, **asdict(recipe)}))
    return {**facts, "seed": seed, "data_sha256": data_sha256}


def _record(facts: Mapping[str, Any]) -> EpochRecord:
    scores = {name: Scores(**facts[name]) if facts[name] else None for name in ("test", "validation")}
    return EpochRecord(**{**facts, **scores})


@contextmanager
def _explaining_refusal(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CheckpointError(
            f"{path.name} cannot be written: {error.strerror or error}",
            looked_in=str(path.parent),
            next_step="free some space, or name a file elsewhere",
        ) from error
