import gzip
import io
import json
from dataclasses import asdict, replace

import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mnist_reference.errors import OutputError
from mnist_reference.models.evaluate import predict
from mnist_reference.models.networks import initialised
from mnist_reference.training.observe import MAX_MISCLASSIFIED, NUM_TRACED, flattened, logged, profiled
from mnist_reference.training.recipes import digits
from mnist_reference.training.train import train

NUM_EPOCHS = 3
SHORT = replace(digits(), num_epochs=NUM_EPOCHS)


def training(digits_data, model):
    return train(model, digits_data.train, SHORT, seed=3, test=digits_data.test)


@pytest.fixture(scope="module")
def log(digits_data, tmp_path_factory):
    """A trained model, its records, and its event files as TensorBoard reads them."""
    folder = tmp_path_factory.mktemp("log")
    model = initialised(SHORT.model, seed=3)
    history = list(logged(training(digits_data, model), model, digits_data.test, folder))
    return model, history, EventAccumulator(str(folder), size_guidance={"images": 0, "histograms": 0}).Reload()


def test_event_files_hold_every_number_of_every_record(log):
    _, history, events = log

    assert len(history) == NUM_EPOCHS
    assert set(events.Tags()["scalars"]) == set(flattened(asdict(history[0])))
    for name in events.Tags()["scalars"]:
        expected = {record.epoch: flattened(asdict(record))[name] for record in history}
        assert {event.step: event.value for event in events.Scalars(name)} == pytest.approx(expected)


def test_event_files_hold_a_histogram_of_each_parameter(log):
    model, _, events = log

    assert set(events.Tags()["histograms"]) == {name for name, _ in model.named_parameters()}
    for name, parameter in model.state_dict().items():
        steps = events.Histograms(name)
        last = steps[-1].histogram_value
        assert [event.step for event in steps] == [1, 2, 3]
        assert (last.num, last.min, last.max) == pytest.approx(
            (parameter.numel(), float(parameter.min()), float(parameter.max()))
        )


def test_event_files_show_what_the_trained_model_misreads(log, digits_data):
    model, _, events = log
    probabilities = predict(model, digits_data.test.images).softmax(1)
    answers = probabilities.argmax(1)
    wrong = (answers != digits_data.test.labels).nonzero().squeeze(1)

    tags = events.Tags()["images"]

    assert len(tags) == min(len(wrong), MAX_MISCLASSIFIED) > 0
    for tag in tags:
        index = int(tag.split("/")[1].split(":")[0])
        assert index in wrong
        assert tag.endswith(f": {digits_data.test.labels[index]} read as {answers[index]}")
        (event,) = events.Images(tag)
        pixels = torch.tensor(list(Image.open(io.BytesIO(event.encoded_image_string)).convert("L").tobytes()))
        assert torch.equal(pixels.reshape(28, 28), digits_data.test.images[index].long())
    shown = probabilities[[int(tag.split("/")[1].split(":")[0]) for tag in tags]].max(1).values
    assert shown.min() >= probabilities[wrong].max(1).values.sort(descending=True).values[len(tags) - 1]


def test_watching_does_not_change_the_training(log, digits_data, tmp_path):
    watched, history, _ = log
    alone, traced = initialised(SHORT.model, seed=3), initialised(SHORT.model, seed=3)

    records = list(training(digits_data, alone))
    traced_records = list(profiled(training(digits_data, traced), traced, tmp_path / "trace.json"))

    for model, seen in ((watched, history), (traced, traced_records)):
        assert [replace(record, train_time_s=0.0) for record in seen] == [
            replace(record, train_time_s=0.0) for record in records
        ]
        assert all(torch.equal(value, alone.state_dict()[name]) for name, value in model.state_dict().items())


def traced_events(digits_data, path, *, batch_size=SHORT.batch_size):
    """What a viewer draws of the trace of a training."""
    recipe = replace(SHORT, batch_size=batch_size)
    model = initialised(recipe.model, seed=3)
    list(profiled(train(model, digits_data.train, recipe, seed=3), model, path))
    content = path.read_bytes()
    document = json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)
    return [event for event in document["traceEvents"] if event["ph"] == "X"]


def num_steps(events):
    return sum(event["name"] == "aten::_fused_adam_" for event in events)


@pytest.mark.parametrize("name", ["trace.json", "trace.json.gz"])
def test_trace_shows_each_step_of_the_first_epoch_alone(name, digits_data, tmp_path):
    events = traced_events(digits_data, tmp_path / name)

    assert num_steps(events) == -(-len(digits_data.train.labels) // SHORT.batch_size)
    assert all(event["dur"] >= 0 and {"ts", "pid", "tid"} <= event.keys() for event in events)
    assert list(tmp_path.iterdir()) == [tmp_path / name]


def test_trace_of_a_long_epoch_ends_after_some_steps(digits_data, tmp_path):
    assert num_steps(traced_events(digits_data, tmp_path / "trace.json", batch_size=8)) == NUM_TRACED


def test_spans_of_a_trace_lie_inside_each_other(digits_data, tmp_path):
    events = traced_events(digits_data, tmp_path / "trace.json")

    for place in {(event["pid"], event["tid"]) for event in events if event.get("cat") == "cpu_op"}:
        spans = sorted(
            ((event["ts"], -event["dur"]) for event in events if (event["pid"], event["tid"]) == place), key=tuple
        )
        open_until = []
        for start, minus_duration in spans:
            while open_until and open_until[-1] <= start:
                open_until.pop()
            assert not open_until or start - minus_duration <= open_until[-1] + 0.01  # rounded to nanoseconds
            open_until.append(start - minus_duration)


@pytest.mark.parametrize("name", ["log", "trace"])
def test_place_that_cannot_be_written_is_explained_before_the_training(name, digits_data, perceptron, tmp_path):
    (tmp_path / "file").write_text("in the way")
    before = {name: value.clone() for name, value in perceptron.state_dict().items()}
    records = training(digits_data, perceptron)
    watched = {
        "log": lambda: logged(records, perceptron, digits_data.test, tmp_path / "file" / "log"),
        "trace": lambda: profiled(records, perceptron, tmp_path / "file" / "trace.json"),
    }[name]()

    with pytest.raises(OutputError, match="cannot be written") as refusal:
        next(watched)

    assert refusal.value.looked_in.startswith(str(tmp_path / "file"))
    assert all(torch.equal(value, before[name]) for name, value in perceptron.state_dict().items())
