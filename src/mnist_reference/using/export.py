"""A trained model as a file that runs without this package's source, checked against the model before it is kept.

Both formats have one input ``images``, (N, 28, 28) float32 in [0, 1] for any N, and give the logits, (N, 10).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn

from mnist_reference.data.shapes import IMAGE_SIDE
from mnist_reference.errors import OutputError, UnknownNameError, nearest
from mnist_reference.extras import extra
from mnist_reference.files import output
from mnist_reference.seeding import generator

EXAMPLE_BATCH_SIZE = 2
"""Batches of 0 and 1 are special to the tracer; any other size stands for all."""

NUM_CHECKED = 5
"""Random images on which a file must agree with the model; a batch of another size than the tracer saw."""

TOLERANCE = 1e-4
"""Largest difference of a logit, relative to the largest logit: float32 summed in another order."""

Exporter = Callable[[nn.Module, Path], None]
"""Writes a model that is on the CPU to a path, atomically."""


def export_program(model: nn.Module, path: Path) -> None:
    """Write a model with ``torch.export``, for ``torch.export.load``.

    Args:
        model: On the CPU; what is written is what it computes in ``eval()`` mode.
        path: Of the ``.pt2`` file, written atomically.

    Raises:
        OutputError: If it cannot be written, or does not compute what the model does.
    """
    model = _for_inference(model)
    program = torch.export.export(model, (_example(),), dynamic_shapes=_any_batch())
    with output(path, "the exported model") as temporary:
        with temporary.open("wb") as file:
            torch.export.save(program, file)
        with temporary.open("rb") as file:
            reloaded = torch.export.load(file).module()
        require_agreement(model, reloaded)


def export_onnx(model: nn.Module, path: Path) -> None:
    """Write a model in the ONNX format, weights included.

    What is written is run by the reference evaluator of the format before it is kept.

    Args:
        model: On the CPU; what is written is what it computes in ``eval()`` mode.
        path: Of the ``.onnx`` file, written atomically.

    Raises:
        MissingExtraError: If the extra ``export`` is not installed.
        OutputError: If it cannot be written, or does not compute what the model does.
    """
    with extra("export"):
        import onnx
        import onnx.reference
        import onnxscript  # noqa: F401 - torch's exporter is written in it
    model = _for_inference(model)
    exported = torch.onnx.export(
        model,
        (_example(),),
        dynamo=True,
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=_any_batch(),
        verbose=False,
    )
    assert exported is not None  # None is for the older exporter
    with output(path, "the exported model") as temporary:
        temporary.write_bytes(exported.model_proto.SerializeToString())
        reloaded = onnx.load(temporary)
        onnx.checker.check_model(reloaded, full_check=True)
        evaluator = onnx.reference.ReferenceEvaluator(reloaded)

        def run(images: Tensor) -> Tensor:
            (logits,) = evaluator.run(["logits"], {"images": images.numpy()})
            return torch.from_numpy(logits)

        require_agreement(model, run)


EXPORTERS: Mapping[str, Exporter] = {".pt2": export_program, ".onnx": export_onnx}
"""By the suffix of the file."""


def exporter_for(path: Path) -> Exporter:
    """What writes files of a suffix.

    Raises:
        UnknownNameError: If nothing does.

    Example:
        >>> exporter_for(Path("model.onnx")).__name__
        'export_onnx'
    """
    if path.suffix not in EXPORTERS:
        raise UnknownNameError(
            f"no export format for the suffix {path.suffix!r} of {path.name!r}",
            looked_in=__name__,
            next_step=nearest(path.suffix, EXPORTERS),
        )
    return EXPORTERS[path.suffix]


@torch.no_grad()
def require_agreement(model: nn.Module, exported: Callable[[Tensor], Tensor]) -> None:
    """Refuse an exported model whose logits are not those of the model.

    Args:
        model: On the CPU, in ``eval()`` mode.
        exported: Takes images, (N, 28, 28) float32, and gives logits.

    Raises:
        OutputError: With the largest difference.
    """
    images = torch.rand(NUM_CHECKED, IMAGE_SIDE, IMAGE_SIDE, generator=generator(0, "check of an export"))
    expected = model(images)  # (NUM_CHECKED, 10)
    difference = float((exported(images) - expected).abs().max())
    if not difference <= TOLERANCE * float(expected.abs().max()):  # NaN is no agreement
        raise OutputError(
            f"the exported model differs from the model by up to {difference:.3g} in a logit",
            next_step="nothing was written; report it with the versions of torch and onnx",
        )


def _for_inference(model: nn.Module) -> nn.Module:
    """A copy that neither normalises by the batch nor drops anything, its weights in the order that files have."""
    return deepcopy(model).to(memory_format=torch.contiguous_format).eval()


def _example() -> Tensor:
    return torch.zeros(EXAMPLE_BATCH_SIZE, IMAGE_SIDE, IMAGE_SIDE)


def _any_batch() -> dict[str, dict[int, torch.export.Dim]]:
    return {"images": {0: torch.export.Dim("batch")}}
