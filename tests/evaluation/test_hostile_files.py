"""Stored results that are broken or hostile: refused with place and next step, in bounded memory, and never half read."""

import json
import os
import pickle
import random
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from mainstay import cli
from mainstay.evaluation.formats import read_scores
from mainstay.records.errors import MainstayError

FILES = Path(__file__).with_name("files")
LOG = next((FILES / "inspect" / "candidate").glob("*.json"))
ARCHIVE = next((FILES / "inspect" / "baseline").glob("*.eval"))
SUMS = next((FILES / "lm_eval").glob("samples_tiny_arith_*"))
GOOD = '{"id": "a", "score": 1}\n{"id": "b", "score": 0}\n'
MEMORY_MB = 400
"""What reading a hostile file may add to the memory of the interpreter; a line may have 64 MiB."""


class Payload:
    """What runs when it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("unpickled"),)


def archive(file, members, **options):
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as stream:
        for name, content in members.items():
            stream.writestr(name, content if isinstance(content, str | bytes) else json.dumps(content), **options)


def log_members(id_="a", **more):
    """The members of a log of one sample."""
    sample = {"id": id_, "epoch": 1, "scores": {"match": {"value": "C"}}, "input": "", "target": ""}
    return {
        "header.json": {"eval": {"task": "t"}, "status": "success"},
        "summaries.json": [sample],
        f"samples/{id_}_epoch_1.json": sample | more,
    }


def encrypted(file):
    archive(file, log_members())
    content = bytearray(file.read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        place = -1
        while (place := content.find(signature, place + 1)) >= 0:
            content[place + offset] |= 1
    file.write_bytes(content)


def lying(file):
    """Members that say they unpack to three bytes."""
    archive(file, log_members())
    content = bytearray(file.read_bytes())
    for signature, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        place = -1
        while (place := content.find(signature, place + 1)) >= 0:
            content[place + offset : place + offset + 4] = struct.pack("<I", 3)
    file.write_bytes(content)


def bomb(file):
    """A member that unpacks to a thousand times as much, and more than is read."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as stream:
        stream.writestr("header.json", "{}")
        with stream.open("summaries.json", "w", force_zip64=True) as member:
            for _ in range(600):
                member.write(bytes(1 << 20))


def sparse(file):
    """A line of 1 GB without an end, which takes no room on the disk."""
    with file.open("wb") as stream:
        stream.write(b'{"id": "')
        stream.truncate(1 << 30)


def recurring(file):
    """200,000 rows with one text of a megabyte: 200 GB in a file of half a megabyte."""
    size = 200_000
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * size, pa.int32()), ["x" * 1_000_000])
    parquet.write_table(pa.table({"id": pa.array(range(size)), "score": [1.0] * size, "cluster": texts}), file)


def unpacking(file):
    """600 texts of a megabyte in one group of rows that a compressor made small; here, all lie in one buffer."""
    letters = pa.py_buffer(b"x" * 1_000_600)
    ends = (pa.array([0, 1_000_000 + number], pa.int32()) for number in range(600))
    texts = pa.chunked_array([pa.StringArray.from_buffers(1, each.buffers()[1], letters) for each in ends])
    table = pa.table({"id": texts, "score": [1.0] * 600})
    parquet.write_table(table, file, compression="zstd", use_dictionary=False, write_batch_size=1)


def nested(file):
    parquet.write_table(pa.table({"id": [["a"], ["b"]], "score": [1.0, 0.0]}), file)


def rows(*parts):
    return "".join(f"{json.dumps(part) if isinstance(part, dict) else part}\n" for part in parts)


HOSTILE = {
    "empty.jsonl": b"",
    "empty.csv": b"",
    "empty.json": b"",
    "empty.parquet": b"",
    "empty.eval": b"",
    "truncated.jsonl": b'{"id": "a", "score": 1}\n{"id": "b", "sc',
    "truncated.json": LOG.read_bytes()[:-200],
    "truncated.eval": ARCHIVE.read_bytes()[:-200],
    "truncated.parquet": (FILES / "plain" / "arith.parquet").read_bytes()[:-40],
    SUMS.name: SUMS.read_bytes()[:-50],
    "twice.jsonl": GOOD * 2,
    "number_and_text.jsonl": rows({"id": 1, "score": 1}, {"id": "1", "score": 0}),
    "nothing_as_id.jsonl": rows({"id": None, "score": 1}),
    "list_as_id.jsonl": rows({"id": ["a"], "score": 1}),
    "nan.jsonl": rows('{"id": "a", "score": NaN}'),
    "infinite.jsonl": rows('{"id": "a", "score": -Infinity}'),
    "overflowing.jsonl": rows('{"id": "a", "score": 1e999}'),
    "nan.csv": "id,score\na,nan\n",
    "infinite.csv": "id,score\na,inf\n",
    "huge_integer.jsonl": rows('{"id": "a", "score": 1' + "0" * 4000 + "}"),
    "longer_integer.jsonl": rows('{"id": "a", "score": 1' + "0" * 100_000 + "}"),
    "half_repeat.jsonl": rows({"id": "a", "score": 1, "repeat": 0.5}),
    "endless_repeat.jsonl": rows('{"id": "a", "score": 1, "repeat": 1e999}'),
    "formula.csv": 'id,score\na,"=HYPERLINK(""http://example.org"")"\n',
    "unclosed.csv": 'id,score\na,"1\nb,0\n' + "c,1\n" * 1000,
    "column_twice.csv": "id,score,score\na,1,0\nb,1,0\n",
    "bare_returns.csv": "id;score\ra;1\r",
    "mixed.csv": "id,score\nä,1\n".encode() + "ö,0\n".encode("latin-1"),
    "mixed.jsonl": GOOD.encode() + '{"id": "ö", "score": 0}\n'.encode("latin-1"),
    "wide.jsonl": GOOD.encode("utf-16"),
    "nul.jsonl": b'\0{"id": "a", "score": 1}\n',
    "half_a_letter.jsonl": rows('{"id": "a", "task": "\\ud800", "score": 1}'),
    "deep.jsonl": "[" * 100_000,
    "deep.json": '{"a":' * 100_000,
    "deep_member.eval": lambda file: archive(file, log_members() | {"summaries.json": "[" * 100_000}),
    "pickle.parquet": pickle.dumps(Payload()),
    "pickle.jsonl": pickle.dumps(Payload()),
    "pickle.eval": pickle.dumps(Payload()),
    "nested.parquet": nested,
    "encrypted.eval": encrypted,
    "lying.eval": lying,
    "no_sample.eval": lambda file: archive(file, {**log_members(), "summaries.json": [{"id": "b", "epoch": 1}]}),
    "no_epoch.eval": lambda file: archive(file, log_members(epoch="one")),
    "slip.eval": lambda file: archive(
        file, log_members(scores=[]) | {"../../slipped.json": "{}", "/slipped.json": "{}"}
    ),
    "loop.jsonl": lambda file: file.symlink_to(file.name),
    "pipe.jsonl": os.mkfifo,
    "nothing.jsonl": lambda file: file.symlink_to("missing"),
    "folder.eval": Path.mkdir,
}


def make(tmp_path, name):
    file, content = tmp_path / name, HOSTILE[name]
    if callable(content):
        content(file)
    else:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_with_place_and_next_step(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    file = make(tmp_path, name)
    (tmp_path / "good.jsonl").write_text(GOOD)
    before = sorted(tmp_path.iterdir())

    status = cli.run(["judge", str(file), "good.jsonl", "--margin", "0.02", "--filter", "strict"])

    told = "".join(capsys.readouterr())
    assert status in {2, 4}
    assert name in told
    assert "next" in told
    assert "Traceback" not in told
    assert sorted(tmp_path.iterdir()) == before
    assert not {"unpickled", "slipped.json"} & {each.name for each in [*tmp_path.iterdir(), *tmp_path.parent.iterdir()]}


@pytest.mark.parametrize(
    ("candidate", "said"),
    [
        pytest.param('{"id": "a", "score": 1}\n{"id": "c", "score": 0}\n', "lacks item 'b'", id="other items"),
        pytest.param('{"id": "a", "score": 1}\n', "lacks item 'b'", id="fewer items"),
        pytest.param(GOOD.replace('"b"', '"b", "repeat": 1'), "repeats", id="other repeats"),
    ],
)
def test_items_that_differ_are_an_error_of_the_task(tmp_path, monkeypatch, capsys, candidate, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "before.jsonl").write_text(GOOD)
    (tmp_path / "after.jsonl").write_text(candidate)

    status = cli.run(["judge", "before.jsonl", "after.jsonl", "--margin", "0.02"])

    assert status in {1, 4}
    assert said in " ".join("".join(capsys.readouterr()).split())


def test_a_folder_of_two_tools_is_refused(tmp_path):
    (tmp_path / SUMS.name).write_bytes(SUMS.read_bytes())
    (tmp_path / ARCHIVE.name).write_bytes(ARCHIVE.read_bytes())

    with pytest.raises(MainstayError, match="results of two tools"):
        read_scores(tmp_path)


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / SUMS.name)
    (tmp_path / "loop").symlink_to(tmp_path)

    with pytest.raises(MainstayError, match="not a regular file"):
        read_scores(tmp_path)


def test_what_spreadsheets_and_other_tools_write_is_read(tmp_path):
    (tmp_path / "marked.csv").write_bytes("\ufeffid,score,cluster\r\na,1,0\r\nb,0,0\r\n".encode())
    (tmp_path / "marked.jsonl").write_bytes("\ufeff".encode() + b'{"id": 1, "score": "1", "cluster": 0}\n')

    (first, second), (third,) = (read_scores(tmp_path / f"marked.{form}").items for form in ("csv", "jsonl"))

    assert (first.id, first.score, first.cluster, second.cluster) == ("a", 1.0, "0", "0")
    assert (third.id, third.score, third.cluster) == ("1", 1.0, "0")


READ = """
import json, resource, sys
from mainstay.evaluation.formats import read_scores
from mainstay.records.errors import MainstayError
import pyarrow.parquet, backports

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform != "darwin" else 1 << 20)

start, told = peak(), {}
from pathlib import Path
for file in map(Path, sys.argv[1:]):
    try:
        told[file.name] = len(read_scores(file).items)
    except MainstayError as error:
        told[file.name] = error.exit_status
print(json.dumps({"files": told, "added": peak() - start}))
"""


@pytest.mark.slow
def test_what_would_not_fit_into_memory_is_refused_or_read_in_bounded_memory(tmp_path):
    makers = {
        "line.jsonl": sparse,
        "line.csv": sparse,
        "line_of_1_GB.json": sparse,
        "bomb.eval": bomb,
        "recurring.parquet": recurring,
        "unpacking.parquet": unpacking,
    }
    for name, make_file in makers.items():
        make_file(tmp_path / name)

    done = subprocess.run(
        [sys.executable, "-c", READ, *(str(tmp_path / name) for name in makers)],
        capture_output=True,
        text=True,
        check=True,
    )

    told = json.loads(done.stdout)
    assert told["files"] == dict.fromkeys(makers, 4) | {"recurring.parquet": 200_000}
    assert told["added"] < MEMORY_MB


def outcome(file):
    """Whether a file, with what lies beside it, is read or refused; any other error is the test's."""
    try:
        read_scores(file, chosen_filter="strict", cluster="passage")
    except MainstayError as error:
        is_told = error.exit_status in {2, 4} and str(file.parent) in error.looked_in and error.next_step
        return "refused" if is_told else f"refused without a place or a next step: {error}"
    return "read"


VALUES = (None, True, -1, 0.5, 1e300, "", "x", [], {}, [[]], {"a": {}}, [None], "\ud800", 10**30)


def changed(node, chance, drawn):
    """A document in which some values are others."""
    if drawn.random() < chance:
        return drawn.choice(VALUES)
    if isinstance(node, dict):
        return {name: changed(each, chance, drawn) for name, each in node.items() if drawn.random() > chance / 2}
    if isinstance(node, list):
        return [changed(each, chance, drawn) for each in node]
    return node


@pytest.mark.parametrize("seed", range(3))
def test_no_change_of_a_document_is_more_than_refused(tmp_path, seed):
    drawn = random.Random(seed)
    documents = {
        LOG.name: [LOG.read_text("utf-8")],
        "promptfoo.json": [(FILES / "promptfoo" / "results_handmade.json").read_text("utf-8")],
        SUMS.name: SUMS.read_text("utf-8").splitlines(),
        "plain.jsonl": (FILES / "plain" / "arith.jsonl").read_text("utf-8").splitlines(),
        next((FILES / "lm_eval").glob("results_*")).name: [next((FILES / "lm_eval").glob("results_*")).read_text()],
    }
    outcomes = set()
    for _ in range(25):
        for name, parts in documents.items():
            chance = drawn.choice((0.02, 0.1, 0.3))
            lines = [json.dumps(changed(json.loads(part), chance, drawn)) for part in parts]
            (tmp_path / name).write_text("\n".join(lines))
        for name in list(documents)[:-1]:
            outcomes.add(outcome(tmp_path / name))
    assert outcomes == {"read", "refused"}


@pytest.mark.parametrize("source", [ARCHIVE, FILES / "plain" / "arith.parquet", FILES / "plain" / "arith.csv"])
def test_no_change_of_bytes_is_more_than_refused(tmp_path, source):
    drawn, content = random.Random(1), source.read_bytes()
    file, outcomes = tmp_path / source.name, set()
    for _ in range(150):
        damaged = bytearray(content)
        for _ in range(drawn.choice((1, 4, 30))):
            damaged[drawn.randrange(len(damaged))] = drawn.randrange(256)
        file.write_bytes(damaged[: drawn.choice((len(damaged), drawn.randrange(len(damaged))))])
        outcomes.add(outcome(file))
    assert "refused" in outcomes
