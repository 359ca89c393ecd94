"""The command line: ``python -m mnist_reference train|evaluate|predict|card|export|fetch``.

Each command parses its arguments, calls the library and prints. Results go to standard output, including a line for
each epoch, or as JSON with ``--json``. Notices and errors go to standard error, and so does the progress bar that a
terminal shows instead of the lines.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnist_reference.errors import CheckpointError, ModelError

if TYPE_CHECKING:
    from mnist_reference.data.datasets import Dataset
    from mnist_reference.training.recipes import Recipe
    from mnist_reference.training.train import EpochRecord, TrainingState
    from mnist_reference.using.checkpoint import Provenance

DEFAULT_CHECKPOINT = Path("mnist_reference.safetensors")
MAX_SEED = 2**63 - 1

EXIT_STATUSES = """\b
Exit statuses:
  0    done
  1    an error of the data, a file, a picture, the device or an extra
  2    an option is wrong, or names something that does not exist
  130  interrupted
"""

data_option = click.option(
    "--data",
    "source",
    default="auto",
    show_default=True,
    metavar="auto|mnist|digits|PATH",
    help="Data set. auto is MNIST if it exists or can be fetched, otherwise the small digits of scikit-learn; "
    "PATH is a folder with the MNIST files in MNIST/raw.",
)
device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Device; auto is the first available one of CUDA, MPS and CPU.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
checkpoint_option = click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    default=DEFAULT_CHECKPOINT,
    show_default=True,
    help="Checkpoint written by train.",
)


@click.group(epilog=EXIT_STATUSES, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Train, evaluate and use the reference models, which read handwritten digits."""


@cli.command()
@data_option
@click.option(
    "--recipe", "recipe_name", help="Recipe of the training run.  [default: article for MNIST, digits for digits]"
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Replace a setting of the recipe, such as learning_rate=0.01 or augmentation.shift_pixels=2; repeatable.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over the training set; short for --set num_epochs.")
@click.option(
    "--seed", type=click.IntRange(0, MAX_SEED), default=0, show_default=True, help="Seed of all random numbers."
)
@device_option
@click.option(
    "--threads",
    "num_threads",
    type=click.IntRange(min=1),
    help="Threads of the processor; other numbers give other bits.  [default: OMP_NUM_THREADS, else the fastest]",
)
@click.option("--compile", "is_compiled", is_flag=True, help="Compile the model with torch.compile before training.")
@click.option("--resume", is_flag=True, help="Continue an interrupted training run with the same arguments.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_CHECKPOINT,
    show_default=True,
    help="Checkpoint to write. During training, its state is stored next to it, in OUTPUT.state.",
)
@click.option(
    "--log-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for TensorBoard: scores, weights, misclassified images. Needs the extra tensorboard.",
)
@click.option(
    "--profile",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Trace of the first steps to write, .json or .json.gz, for https://ui.perfetto.dev.",
)
@json_option
def train(
    *,
    source: str,
    recipe_name: str | None,
    settings: tuple[str, ...],
    epochs: int | None,
    seed: int,
    device: str,
    num_threads: int | None,
    is_compiled: bool,
    resume: bool,
    output: Path,
    log_dir: Path | None,
    profile: Path | None,
    as_json: bool,
) -> None:
    """Train a model and write a checkpoint.

    Under torchrun, several processes share each batch; the first of them writes and prints.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # otherwise the profiler reports the absence of a GPU as an error
    # read when torch is imported; if other processes are busy, threads that spin make an epoch 15 times as long
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import torch

    from mnist_reference import devices, revision
    from mnist_reference.models import networks
    from mnist_reference.training import distributed, observe, recipes, threads
    from mnist_reference.training import train as training
    from mnist_reference.using import checkpoint

    recipe = recipes.recipe_by_name(recipe_name) if recipe_name else None
    place = devices.device_by_name(device)
    data_set = _load(source)
    recipe = recipes.with_settings(recipe or recipes.recipe_for(data_set.name), _parsed_settings(settings))
    recipe = replace(recipe, num_epochs=epochs) if epochs else recipe
    origin: dict[str, Any] = {"recipe": recipe, "seed": seed, "data_sha256": data_set.sha256}
    state_file = output.with_name(f"{output.name}.state")
    num_threads = num_threads or threads.given_number()
    state = _resumed(state_file, origin, num_threads) if resume else training.TrainingState()
    num_threads = num_threads or state.num_threads
    learner = networks.initialised(recipe.model, seed=seed).to(place)
    if not num_threads:
        allowed = torch.get_num_threads()
        is_free = place.type == "cpu" and "WORLD_SIZE" not in os.environ
        num_threads = threads.fastest_number(learner, data_set.train, recipe, allowed=allowed) if is_free else allowed
    with threads.threads(num_threads), distributed.joined_group(place) as group:
        records: Iterator[EpochRecord] = training.train(
            learner,
            data_set.train,
            recipe,
            seed=seed,
            test=data_set.test,
            state=state,
            group=group,
            compiler="inductor" if is_compiled else None,
        )
        if group.rank:
            list(records)
            return
        records = observe.profiled(records, learner, profile) if profile else records
        records = observe.logged(records, learner, data_set.test, log_dir) if log_dir else records
        for _ in records if as_json else _displayed(records, recipe):
            checkpoint.save_training_state(state_file, state, **origin)
    provenance = checkpoint.Provenance(
        **origin,
        data_set=data_set.name,
        **asdict(training.score(learner, data_set.test)),
        revision=revision.source_revision(),
        num_threads=num_threads,
    )
    checkpoint.save_checkpoint(output, learner, provenance)
    state_file.unlink(missing_ok=True)
    facts = {"checkpoint": str(output), **asdict(provenance)}
    if as_json:
        click.echo(_json(facts | {"epochs": [asdict(record) for record in state.records]}))
    else:
        click.echo(f"wrote {output}: {_scores_line(facts)}, threads {num_threads}")


@cli.command()
@checkpoint_option
@data_option
@device_option
@json_option
def evaluate(checkpoint: Path, source: str, device: str, as_json: bool) -> None:
    """Score a checkpoint on the test split."""
    from mnist_reference import devices
    from mnist_reference.training import train as training
    from mnist_reference.using.checkpoint import load_checkpoint

    perceptron, provenance = load_checkpoint(checkpoint)
    place = devices.device_by_name(device)
    data_set = _load(source)
    _warn_of_other_data(provenance, data_set)
    facts = {
        "checkpoint": str(checkpoint),
        "data_set": data_set.name,
        "num_examples": len(data_set.test.labels),
        **asdict(training.score(perceptron.to(place), data_set.test)),
    }
    click.echo(_json(facts) if as_json else _scores_line(facts))


@cli.command()
@click.argument("pictures", nargs=-1, required=True, type=click.Path(path_type=Path))
@checkpoint_option
@device_option
@click.option(
    "--explain",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for pictures that show which pixels each answer depends on. Needs the extra explain.",
)
@json_option
def predict(pictures: tuple[Path, ...], checkpoint: Path, device: str, explain: Path | None, as_json: bool) -> None:
    """Read the digit in each picture.

    PNG files of any size, in colour or grey, black on white or white on black.
    """
    import torch

    from mnist_reference import devices
    from mnist_reference.data.pictures import read_picture
    from mnist_reference.models import evaluate as evaluation
    from mnist_reference.using.checkpoint import load_checkpoint

    perceptron, provenance = load_checkpoint(checkpoint)
    perceptron.to(devices.device_by_name(device))
    images = torch.stack([read_picture(path, data_set=provenance.data_set) for path in pictures])  # (N, 28, 28)
    probabilities = evaluation.predict(perceptron, images).softmax(1)  # (N, 10)
    answers: list[dict[str, Any]] = [
        {
            "picture": str(path),
            "digit": int(row.argmax()),
            "probability": float(row.max()),
            "probabilities": row.tolist(),
        }
        for path, row in zip(pictures, probabilities, strict=True)
    ]
    if explain:
        from mnist_reference.using.explain import write_explanations

        written = write_explanations(perceptron, images, probabilities.argmax(1), pictures, explain)
        answers = [answer | {"explanation": str(path)} for answer, path in zip(answers, written, strict=True)]
    if as_json:
        click.echo(_json(answers))
        return
    for answer in answers:
        explanation = f", explained in {answer['explanation']}" if explain else ""
        click.echo(f"{answer['picture']}: {answer['digit']} (probability {answer['probability']:.3f}){explanation}")


@cli.command()
@checkpoint_option
@click.option("--data", "source", metavar="auto|mnist|digits|PATH", help="Data set.  [default: that of the checkpoint]")
@device_option
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("MODEL_CARD.md"),
    show_default=True,
    help="Markdown file to write.",
)
@json_option
def card(checkpoint: Path, source: str | None, device: str, output: Path, as_json: bool) -> None:
    """Measure a checkpoint on the test split and write its model card."""
    from mnist_reference import devices, files
    from mnist_reference.using import model_card
    from mnist_reference.using.checkpoint import load_checkpoint

    perceptron, provenance = load_checkpoint(checkpoint)
    place = devices.device_by_name(device)
    data_set = _load(source or provenance.data_set)
    _warn_of_other_data(provenance, data_set)
    measured = model_card.measured_card(perceptron.to(place), provenance, data_set)
    with files.output(output, "the model card") as temporary:
        temporary.write_text(model_card.render_model_card(measured), "utf-8")
    facts = {"output": str(output), **asdict(measured)}
    click.echo(_json(facts) if as_json else f"wrote {output}: {_scores_line(facts)}")


@cli.command()
@checkpoint_option
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("mnist_reference.pt2"),
    show_default=True,
    help="File to write: .pt2, which torch.export.load reads, or .onnx, which needs the extra export.",
)
@json_option
def export(checkpoint: Path, output: Path, as_json: bool) -> None:
    """Export a model so that it runs without this package's source, and check that it computes the same."""
    from mnist_reference.using.checkpoint import load_checkpoint
    from mnist_reference.using.export import exporter_for

    write = exporter_for(output)
    perceptron, _ = load_checkpoint(checkpoint)
    write(perceptron, output)
    num_bytes = output.stat().st_size
    facts = {"output": str(output), "num_bytes": num_bytes}
    click.echo(_json(facts) if as_json else f"wrote {output} ({num_bytes} bytes)")


@cli.command()
@data_option
@json_option
def fetch(source: str, as_json: bool) -> None:
    """Prepare a data set and print its location, as KEY=VALUE lines for the environment of later commands."""
    from mnist_reference.data.datasets import located

    data_set = _load(source)
    _, root = located(source)
    variables = {"MNIST_REFERENCE_DATA": data_set.name, "MNIST_REFERENCE_ROOT": str(root.resolve())}
    if as_json:
        click.echo(_json(variables))
        return
    for name, value in variables.items():
        click.echo(f"{name}={value}")


def _json(document: object) -> str:
    """A document as JSON, which has neither NaN nor infinity."""
    return json.dumps(document, allow_nan=False)


def _load(source: str) -> Dataset:
    """Load a data set, and print its notice on standard error."""
    from mnist_reference.data import datasets

    data_set = datasets.load(source)
    if data_set.notice:
        click.secho(f"notice: {data_set.notice}", err=True, bold=True)
    return data_set


def _parsed_settings(settings: Sequence[str]) -> dict[str, str]:
    """The values of ``--set``, by name."""
    for setting in settings:
        if "=" not in setting:
            raise click.BadParameter(f"{setting!r} is not of the form NAME=VALUE", param_hint="--set")
    return dict(setting.split("=", 1) for setting in settings)


def _resumed(path: Path, origin: dict[str, Any], num_threads: int | None) -> TrainingState:
    """The state in a file, or an initial state with a notice.

    Raises:
        CheckpointError: If it belongs to another training run, or to another number of threads than the requested one.
    """
    from mnist_reference.training.train import TrainingState
    from mnist_reference.using.checkpoint import load_training_state

    if path.exists():
        state = load_training_state(path, **origin)
        if num_threads not in {None, state.num_threads}:
            raise CheckpointError(
                f"the training began with {state.num_threads} threads and would go on with {num_threads}, with other bits",
                looked_in=str(path),
                next_step=f"give --threads {state.num_threads}, or train from the beginning",
            )
        return state
    click.secho(f"notice: nothing to resume in {path}; training starts from the beginning", err=True, bold=True)
    return TrainingState()


def _warn_of_other_data(provenance: Provenance, data_set: Dataset) -> None:
    """Warn if a model is scored on another data set than it was trained on."""
    if provenance.data_set != data_set.name:
        click.secho(f"notice: trained on {provenance.data_set}, scored on {data_set.name}", err=True, bold=True)


def _displayed(records: Iterable[EpochRecord], recipe: Recipe) -> Iterator[EpochRecord]:
    """The same records, displayed as a progress bar on a terminal and as a line each elsewhere."""
    if not sys.stderr.isatty():
        for record in records:
            click.echo(_epoch_line(record, recipe))
            yield record
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(f"training by {recipe.name}", total=recipe.num_epochs)
        for record in records:
            progress.update(task, advance=1, description=_epoch_line(record, recipe))
            yield record


def _epoch_line(record: EpochRecord, recipe: Recipe) -> str:
    scores = f", {_scores_line(asdict(record.test))}" if record.test else ""
    return f"epoch {record.epoch}/{recipe.num_epochs}: train loss {record.train_loss:.4f}{scores}"


def _scores_line(facts: dict[str, Any]) -> str:
    return f"test accuracy {facts['top1_accuracy']:.4f}, negative log-likelihood {facts['negative_log_likelihood']:.4f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: Command-line arguments; those of the process if not given.

    Returns:
        The exit status.
    """
    try:
        status: int | None = cli.main(arguments, prog_name="python -m mnist_reference", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ModelError as error:
        click.echo(f"error: {error}", err=True)
        return error.exit_status
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return 130
    return status or 0


if __name__ == "__main__":
    sys.exit(main())
