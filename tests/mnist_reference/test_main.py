import json
import os
import pty
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from mnist_reference.__main__ import main
from mnist_reference.data.pictures import png
from mnist_reference.training import threads
from mnist_reference.using import checkpoint
from mnist_reference.using.checkpoint import load_checkpoint


@pytest.fixture(autouse=True)
def _environment(data_root, digits_data, monkeypatch, tmp_path):
    monkeypatch.setenv("MNIST_REFERENCE_ROOT", str(data_root))
    monkeypatch.setenv("MNIST_REFERENCE_DATA", "digits")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def trained(tmp_path_factory, data_root, digits_data):
    path = tmp_path_factory.mktemp("trained") / "model.safetensors"
    assert main(["train", "--data", "digits", "--device", "cpu", "--json", "--output", str(path)]) == 0
    return path


def test_train_prints_a_line_an_epoch_and_writes_a_checkpoint(capsys, tmp_path):
    status = main(["train", "--epochs", "3", "--seed", "4", "--device", "cpu"])

    lines = capsys.readouterr().out.splitlines()
    _, provenance = load_checkpoint(tmp_path / "mnist_reference.safetensors")
    assert status == 0
    assert [line.split(":")[0] for line in lines[:3]] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert lines[3].startswith("wrote mnist_reference.safetensors: test accuracy 0.")
    assert (provenance.seed, provenance.recipe.num_epochs, provenance.data_set) == (4, 3, "digits")


def test_train_prints_one_json_document(capsys):
    main(["train", "--epochs", "2", "--device", "cpu", "--json", "--recipe", "article"])

    document = json.loads(capsys.readouterr().out)
    assert [record["epoch"] for record in document["epochs"]] == [1, 2]
    assert document["top1_accuracy"] == document["epochs"][-1]["test"]["top1_accuracy"]
    assert document["recipe"]["name"] == "article"


TRAIN_AND_BE_KILLED = """
import os, random, signal, sys, time
import torch
from mnist_reference.__main__ import main
torch.set_num_threads(1)
moments, command = random.Random(0), sys.argv[1:]
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
kills = 0
while True:
    child = os.fork()
    if child == 0:
        os._exit(main(command))
    time.sleep(moments.uniform(0.1, 0.4) * 1.2**kills)  # longer and longer, for it must get to the end
    ended, status = os.waitpid(child, os.WNOHANG)
    if ended:
        sys.exit(f"{os.waitstatus_to_exitcode(status)} {kills}")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    kills += 1
"""


@pytest.mark.slow
def test_training_killed_at_any_moment_and_resumed_ends_with_the_same_bytes(tmp_path):
    command = ["train", "--epochs", "12", "--device", "cpu", "--data", "digits", "--output"]
    subprocess.run(
        [sys.executable, "-c", TRAIN_AND_BE_KILLED, *command, "killed", "--resume"], check=False, capture_output=True
    )

    assert main([*command, "undisturbed"]) == 0

    assert (tmp_path / "killed").read_bytes() == (tmp_path / "undisturbed").read_bytes()
    assert not list(tmp_path.glob("*.state"))


def test_resume_without_a_state_says_that_it_begins(capsys):
    assert main(["train", "--epochs", "1", "--device", "cpu", "--resume"]) == 0

    assert "nothing to resume in mnist_reference.safetensors.state" in capsys.readouterr().err


def test_diverging_training_keeps_the_state_of_its_last_sound_epoch(capsys, tmp_path):
    command = ["train", "--device", "cpu", "--epochs", "40", "--set", "optimizer=sgd"]

    status = main([*command, "--set", "learning_rate=1e30"])

    assert status == 1
    assert "error: the loss is" in capsys.readouterr().err
    assert not (tmp_path / "mnist_reference.safetensors").exists()


@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["text", "json"])
def test_training_whose_last_step_diverges_writes_nothing(capsys, tmp_path, as_json):
    settings = ["batch_size=2000", "learning_rate=1e30", "optimizer=sgd"]

    status = main(["train", "--device", "cpu", "--epochs", "1", *(f"--set={each}" for each in settings), *as_json])

    captured = capsys.readouterr()
    assert (status, captured.out) == (1, "")
    assert captured.err.startswith("error: ")
    assert "smaller learning rate" in captured.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "command",
    [pytest.param(["evaluate"], marks=pytest.mark.slow), ["predict", "a.png"], ["card"], ["export"]],
    ids=lambda each: each[0],
)
def test_a_model_that_has_diverged_is_refused_by_every_command(trained, capsys, tmp_path, command, digits_data):
    (tmp_path / "a.png").write_bytes(png(digits_data.test.images[0]))
    tensors, metadata = load_file(trained), safe_open(trained, framework="pt").metadata()
    tensors["layers.0.bias"][0] = float("nan")
    save_file(tensors, tmp_path / "lost", metadata)

    assert main([*command, "--checkpoint", "lost"]) == 1

    captured = capsys.readouterr()
    assert captured.err.startswith("error: the model has diverged: layers.0.bias holds nan")
    assert captured.out == ""


@pytest.fixture
def two_allowed(monkeypatch):
    """Threads that the machine has and no one has chosen."""
    for name in threads.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


TRAIN = ["train", "--device", "cpu", "--epochs", "2", "--json"]


def test_number_of_threads_is_found_by_trying_and_recorded(two_allowed, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(threads, "fastest_number", lambda *_, allowed: allowed)

    assert main([*TRAIN, "--epochs", "1"]) == 0

    found = json.loads(capsys.readouterr().out)
    _, provenance = load_checkpoint(tmp_path / "mnist_reference.safetensors")
    assert found["num_threads"] == provenance.num_threads == 2
    assert main([*TRAIN, "--epochs", "1", "--threads", "2", "--output", "again"]) == 0
    assert (tmp_path / "again").read_bytes() == (tmp_path / "mnist_reference.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        pytest.param(["--threads", "1"], {}, 1, id="option"),
        pytest.param([], {"OMP_NUM_THREADS": "1"}, 1, id="environment"),
        pytest.param(["--threads", "2"], {"OMP_NUM_THREADS": "1"}, 2, id="option-before-environment"),
    ],
)
def test_number_of_threads_that_is_given_holds(two_allowed, monkeypatch, capsys, arguments, environment, expected):
    monkeypatch.setattr(threads, "fastest_number", lambda *_, **__: pytest.fail("tried in spite of a given number"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert main([*TRAIN, "--epochs", "1", *arguments]) == 0

    assert json.loads(capsys.readouterr().out)["num_threads"] == expected


def test_training_is_resumed_with_the_threads_that_it_began_with(two_allowed, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(threads, "fastest_number", lambda *_, **__: 2)
    save = checkpoint.save_checkpoint
    monkeypatch.setattr(checkpoint, "save_checkpoint", lambda *_: sys.exit(9))
    with pytest.raises(SystemExit):
        main(TRAIN)
    monkeypatch.setattr(checkpoint, "save_checkpoint", save)
    monkeypatch.setattr(threads, "fastest_number", lambda *_, **__: 1)
    capsys.readouterr()

    assert main([*TRAIN, "--resume", "--threads", "1"]) == 1
    assert "began with 2 threads and would go on with 1" in capsys.readouterr().err
    assert main([*TRAIN, "--resume"]) == 0
    assert json.loads(capsys.readouterr().out)["num_threads"] == 2


def test_settings_reach_the_checkpoint(tmp_path, capsys):
    settings = ["augmentation.shift_pixels=1", "l2_penalty=0.001", "validation_share=0.1", "patience=1"]

    main(
        [
            "train",
            "--epochs",
            "1",
            "--device",
            "cpu",
            *(word for each in settings for word in ("--set", each)),
            "--json",
        ]
    )

    _, provenance = load_checkpoint(tmp_path / "mnist_reference.safetensors")
    assert (provenance.recipe.l2_penalty, provenance.recipe.augmentation.shift_pixels) == (0.001, 1)
    assert json.loads(capsys.readouterr().out)["epochs"][0]["validation"]["top1_accuracy"] > 0.1


def test_evaluate_measures_what_the_checkpoint_states(trained, capsys):
    assert main(["evaluate", "--checkpoint", str(trained), "--device", "cpu", "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    _, provenance = load_checkpoint(trained)
    assert document["top1_accuracy"] == provenance.top1_accuracy
    assert document["negative_log_likelihood"] == pytest.approx(provenance.negative_log_likelihood, rel=1e-9)
    assert document["num_examples"] == 360


def test_predict_reads_most_digits_of_the_test_split(trained, capsys, tmp_path, digits_data):
    count = 30
    for index in range(count):
        (tmp_path / f"{index}.png").write_bytes(png(digits_data.test.images[index]))

    status = main(["predict", "--checkpoint", str(trained), "--json", *(f"{index}.png" for index in range(count))])

    answers = json.loads(capsys.readouterr().out)
    labels = digits_data.test.labels[:count].tolist()
    right = sum(answer["digit"] == label for answer, label in zip(answers, labels, strict=True))
    assert status == 0
    assert right >= 0.9 * count
    assert all(sum(answer["probabilities"]) == pytest.approx(1, abs=1e-5) for answer in answers)


def test_predict_reads_the_same_digits_on_paper_in_the_shade(trained, capsys, tmp_path, digits_data):
    shade = np.linspace(1.0, 0.55, 200)
    for index in range(20):
        image = Image.fromarray(digits_data.test.images[index].numpy()).resize((100, 100), Image.Resampling.BICUBIC)
        ink = np.pad(np.asarray(image) / 255, 50)
        for kind, paper in (("even", 1.0), ("shaded", shade)):
            picture = Image.fromarray((paper * (1 - 0.9 * ink) * 255).round().astype(np.uint8))
            picture.save(tmp_path / f"{kind}{index:02}.png")
    names = [f"{kind}{index:02}.png" for kind in ("even", "shaded") for index in range(20)]

    assert main(["predict", "--checkpoint", str(trained), "--json", *names]) == 0

    answers = [answer["digit"] for answer in json.loads(capsys.readouterr().out)]
    labels = digits_data.test.labels[:20].tolist()
    right = [sum(map(int.__eq__, answers[start : start + 20], labels)) for start in (0, 20)]
    assert right[1] >= right[0] - 1
    assert right[1] >= 17


def test_predict_prints_digit_and_probability(trained, capsys, tmp_path, digits_data):
    (tmp_path / "a.png").write_bytes(png(digits_data.test.images[0]))

    main(["predict", "a.png", "--checkpoint", str(trained)])

    assert capsys.readouterr().out.startswith("a.png: ")


@pytest.mark.slow
def test_export_writes_a_program(trained, capsys, tmp_path):
    assert main(["export", "--checkpoint", str(trained), "--output", "out.pt2", "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    assert document == {"output": "out.pt2", "num_bytes": (tmp_path / "out.pt2").stat().st_size}


@pytest.mark.slow
def test_export_writes_an_onnx_file(trained, capsys, tmp_path):
    assert main(["export", "--checkpoint", str(trained), "--output", "out.onnx"]) == 0

    assert capsys.readouterr().out == f"wrote out.onnx ({(tmp_path / 'out.onnx').stat().st_size} bytes)\n"


def test_predict_explains_its_answers_in_pictures(trained, capsys, tmp_path, digits_data):
    for index in range(2):
        (tmp_path / f"{index}.png").write_bytes(png(digits_data.test.images[index]))

    status = main(["predict", "0.png", "1.png", "--checkpoint", str(trained), "--explain", "why", "--json"])

    answers = json.loads(capsys.readouterr().out)
    assert status == 0
    assert [answer["explanation"] for answer in answers] == ["why/0.explained.png", "why/1.explained.png"]
    assert all((tmp_path / answer["explanation"]).read_bytes().startswith(b"\x89PNG") for answer in answers)


def test_predict_says_where_an_answer_is_explained(trained, capsys, tmp_path, digits_data):
    (tmp_path / "a.png").write_bytes(png(digits_data.test.images[0]))

    main(["predict", "a.png", "--checkpoint", str(trained), "--explain", "why"])

    assert capsys.readouterr().out.endswith("), explained in why/a.explained.png\n")


def test_train_writes_event_files_and_a_trace(capsys, tmp_path):
    status = main(["train", "--epochs", "2", "--device", "cpu", "--log-dir", "log", "--profile", "trace.json"])

    lines = capsys.readouterr().out.splitlines()
    assert status == 0
    assert [line.split(":")[0] for line in lines[:2]] == ["epoch 1/2", "epoch 2/2"]
    assert len(list((tmp_path / "log").glob("events.out.tfevents.*"))) == 1
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]


def test_card_states_what_evaluate_measures(trained, capsys, tmp_path):
    main(["evaluate", "--checkpoint", str(trained), "--device", "cpu", "--json"])
    scores = json.loads(capsys.readouterr().out)

    assert main(["card", "--checkpoint", str(trained), "--device", "cpu", "--output", "card.md", "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    assert document["output"] == "card.md"
    assert {name: document[name] for name in scores.keys() & document} == {
        name: scores[name] for name in scores.keys() & document
    }
    assert f"| top-1 accuracy | {scores['top1_accuracy']:.4f} (95 % interval" in (tmp_path / "card.md").read_text()


def test_fetch_prints_variables_for_later_commands(capsys, data_root):
    assert main(["fetch"]) == 0

    assert capsys.readouterr().out.splitlines() == [
        "MNIST_REFERENCE_DATA=digits",
        f"MNIST_REFERENCE_ROOT={data_root.resolve()}",
    ]


def test_fetch_names_the_folder_that_was_read(capsys, mnist_root, monkeypatch):
    monkeypatch.setenv("MNIST_REFERENCE_DATA", str(mnist_root))

    assert main(["fetch"]) == 0

    assert capsys.readouterr().out.splitlines() == [
        "MNIST_REFERENCE_DATA=mnist",
        f"MNIST_REFERENCE_ROOT={mnist_root.resolve()}",
    ]


def test_digits_in_place_of_mnist_are_announced_on_stderr(capsys, monkeypatch):
    monkeypatch.delenv("MNIST_REFERENCE_DATA")
    monkeypatch.setenv("MNIST_MIRROR", "file:///no/such/folder")

    status = main(["fetch"])

    captured = capsys.readouterr()
    assert status == 0
    assert "MNIST_REFERENCE_DATA=digits" in captured.out
    assert captured.err.startswith("notice: using scikit-learn's 1,797 digits in place of MNIST")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        pytest.param(["train", "--recipe", "artcle"], 2, "did you mean article?", id="recipe"),
        pytest.param(["train", "--set", "learnig_rate=1"], 2, "did you mean learning_rate?", id="setting"),
        pytest.param(["train", "--set", "patience"], 2, "not of the form NAME=VALUE", id="setting-without-value"),
        pytest.param(["train", "--set", "batch_size=0"], 2, "batch_size must be 1 or more", id="setting-out-of-range"),
        pytest.param(
            ["train", "--recipe", "cnn_99_5", "--set", "model.channels="],
            2,
            "must be one number or more",
            id="no-channels",
        ),
        pytest.param(["train", "--data", "digts"], 2, "did you mean digits?", id="data-set"),
        pytest.param(["train", "--epochs", "0"], 2, "--epochs", id="epochs"),
        pytest.param(["train", "--seed", "-1"], 2, "--seed", id="seed"),
        pytest.param(["train", "--device", "abacus"], 2, "--device", id="device"),
        pytest.param(["export", "--output", "model.onx"], 2, "did you mean .onnx?", id="export-format"),
        pytest.param(["card"], 1, "no such checkpoint", id="card-without-checkpoint"),
        pytest.param(["practise"], 2, "No such command", id="command"),
        pytest.param(["predict"], 2, "Missing argument", id="no-picture"),
        pytest.param(["evaluate", "--checkpoint", "none"], 1, "no such checkpoint", id="no-checkpoint"),
        pytest.param(["evaluate", "--data", "."], 1, "no such checkpoint", id="default-checkpoint"),
        pytest.param(["train", "--data", "."], 1, "no train-images-idx3-ubyte", id="folder-without-data"),
    ],
)
def test_bad_input_is_explained(arguments, status, message, capsys):
    assert main(arguments) == status

    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_picture_that_is_none_is_explained(trained, capsys, tmp_path):
    (tmp_path / "text.png").write_text("7")

    assert main(["predict", "text.png", "--checkpoint", str(trained)]) == 1

    error = capsys.readouterr().err
    assert error.startswith("error: not a picture")
    assert "\n  looked in: text.png\n  next: give PNG files" in error


def test_help_documents_the_exit_statuses_without_importing_torch():
    script = (
        "import sys; from mnist_reference.__main__ import main; status = main(['--help']);"
        "sys.exit(status or 'torch' in sys.modules)"
    )
    finished = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)

    assert "130  interrupted" in finished.stdout


def read_terminal(descriptor):
    """What is there to read; nothing once the other end is closed, which Linux tells by an error."""
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:
        return b""


@pytest.mark.slow
def test_progress_bar_is_shown_on_a_terminal_alone():
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mnist_reference", "train", "--epochs", "3", "--device", "cpu"]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "200"}

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment, text=True) as process:
        os.close(theirs)
        shown = b"".join(iter(lambda: read_terminal(ours), b"")).decode()
        written = process.stdout.read()
    os.close(ours)

    assert process.returncode == 0
    assert "3/3" in shown
    assert written.startswith("wrote mnist_reference.safetensors")
