"""Files of stored results, read as scored items: lm-evaluation-harness, Inspect AI, promptfoo, and a plain form.

Files are untrusted: lines, documents and members of archives are bounded in size while they are read, and nothing in
them is executed. Every error message names the file, the line and the next step.

- lm-evaluation-harness: a folder, or ``samples_<task>_<date>.jsonl`` files of it (``--log_samples --output_path``).
- Inspect AI: ``.json`` and ``.eval`` logs.
- promptfoo: the JSON of ``promptfoo eval --output``.
- the plain form: ``.jsonl``, ``.csv`` or ``.parquet`` with ``id`` and ``score``, and optionally ``task``, ``cluster``,
  ``repeat``, ``error``, ``digest``, ``prompt``, ``input`` and ``output``.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import re
import struct
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from mainstay.evaluation.items import ScoredItem, Scores
from mainstay.records.errors import StoreError, UsageError
from mainstay.records.metrics import Direction

MAX_LINE_BYTES = 64 << 20
"""Longest line of a JSONL or CSV file."""

MAX_DOCUMENT_BYTES = 1 << 29
"""Largest JSON document, or member of an archive, that is read as a whole."""

MAX_ITEMS = 10_000_000
"""Largest number of scores of one side."""

LM_EVAL_NAME = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d:.-]+)\.jsonl")
LM_EVAL_FACTS = ("model_name", "model_source", "lm_eval_version", "transformers_version", "git_hash")
LM_EVAL_SEEDS = ("random_seed", "numpy_seed", "torch_seed", "fewshot_seed", "limit")
INSPECT_GRADES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
"""Values of Inspect's scorers that are letters: correct, partly, incorrect, no answer."""

PROMPTFOO_ERROR = 2
"""``failureReason`` of a result that could not be obtained."""

PLAIN_TEXTS = ("task", "id", "cluster", "error", "digest", "prompt", "input", "output")
PLAIN_COLUMNS = (*PLAIN_TEXTS, "score", "repeat")


def read_scores(path: Path, *, chosen_filter: str = "", cluster: str = "") -> Scores:
    """Read the results of an evaluation.

    Args:
        path: A file, or a folder of lm-evaluation-harness or Inspect.
        chosen_filter: Answer filter of lm-evaluation-harness to use if a task has several.
        cluster: Name of the field of an item (of its document, metadata or variables) that identifies its cluster.

    Raises:
        StoreError: If a file cannot be read, is damaged, or is larger than the bounds.
        UsageError: If there is nothing to read, or a choice must be made.
    """
    if path.is_dir():
        return _read_folder(path, chosen_filter, cluster)
    if not path.exists():
        raise UsageError("there is no such file", looked_in=str(path), next_step="name a file or a folder of results")
    return _read_file(path, chosen_filter, cluster)


def _read_folder(folder: Path, chosen_filter: str, cluster: str) -> Scores:
    samples = sorted(folder.rglob("samples_*.jsonl"))
    logs = sorted([*folder.rglob("*.eval"), *(file for file in folder.rglob("*.json") if file.name[:1].isdigit())])
    if samples and logs:
        raise UsageError(
            f"results of two tools: {samples[0].name} of lm-evaluation-harness and {logs[0].name} of Inspect",
            looked_in=str(folder),
            next_step="name a folder of one tool, or a file",
        )
    if files := samples or logs:
        return joined([_read_file(file, chosen_filter, cluster) for file in files])
    raise UsageError(
        "no stored results: neither samples_*.jsonl of lm-evaluation-harness nor logs of Inspect",
        looked_in=str(folder),
        next_step="run lm_eval with --log_samples --output_path, or name a file",
    )


def joined(parts: Sequence[Scores]) -> Scores:
    """Join the scores from several files of one side."""
    return Scores(
        format=parts[0].format,
        items=tuple(item for part in parts for item in part.items),
        files=tuple(file for part in parts for file in part.files),
        facts={name: fact for part in parts for name, fact in part.facts.items()},
        directions={name: direction for part in parts for name, direction in part.directions.items()},
        scorers={name: scorer for part in parts for name, scorer in part.scorers.items()},
    )


def _read_file(path: Path, chosen_filter: str, cluster: str) -> Scores:
    if not path.is_file():  # to open a pipe would wait for whoever writes it
        raise UsageError("not a regular file", looked_in=str(path), next_step="name a file or a folder of results")
    try:
        scores = _parse_file(path, chosen_filter, cluster)
        for value in chain.from_iterable((*scores.items, *scores.facts.items(), *scores.scorers.items())):
            if isinstance(value, str) and not value.isascii():
                value.encode()
    except UnicodeEncodeError as error:
        raise _damaged(f"a text with half of a character: {error.reason}", str(path)) from error
    except OSError as error:
        fact, where = f"cannot be read: {error.strerror}", str(error.filename or path)
        raise _damaged(fact, where, "check the permissions of the file") from error
    return replace(scores, files=(path,))


def _parse_file(path: Path, chosen_filter: str, cluster: str) -> Scores:
    suffix = path.suffix.lower()
    if match := LM_EVAL_NAME.fullmatch(path.name):
        return _read_lm_eval(path, match["task"], chosen_filter, cluster)
    if suffix == ".eval":
        return _read_eval_log(path, cluster)
    if suffix == ".json":
        return _read_document(path, cluster)
    readers: Mapping[str, Callable[[Path], Iterator[tuple[str, Mapping[str, Any]]]]] = {
        ".jsonl": _json_lines,
        ".csv": _csv_rows,
        ".parquet": _parquet_rows,
    }
    if suffix not in readers:
        raise UsageError(
            f"results in a {suffix or 'nameless'} file cannot be read",
            looked_in=str(path),
            next_step="give .jsonl, .csv, .parquet, .json or .eval",
        )
    return Scores(format="plain", items=tuple(_plain_items(readers[suffix](path), path)))


def _damaged(fact: str, where: str, next_step: str = "export the results again") -> StoreError:
    return StoreError(fact, looked_in=where, next_step=next_step)


def _parse_json(text: bytes, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        fact = f"not JSON: {error}" if isinstance(error, ValueError) else "JSON that is nested too deeply"
        raise _damaged(fact, where) from error


def _json_lines(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Objects of a JSONL file, each with its location."""
    with path.open("rb") as stream:
        for number, line in enumerate(iter(lambda: stream.readline(MAX_LINE_BYTES + 1), b""), start=1):
            where = f"{path}, line {number}"
            if len(line) > MAX_LINE_BYTES:
                raise _damaged(f"a line of more than {MAX_LINE_BYTES >> 20} MiB", where)
            if line.strip():
                row = _parse_json(line, where)
                if not isinstance(row, dict):
                    raise _damaged("a line that is no JSON object", where)
                yield where, row


def _csv_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Rows of a CSV file, each with its location; an empty score is missing."""
    csv.field_size_limit(MAX_LINE_BYTES)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:  # spreadsheets put a mark before the first name
            reader = csv.DictReader(_bounded(stream, path), strict=True)
            names = Counter(reader.fieldnames or ())
            if twice := [name for name, count in names.items() if count > 1]:
                raise _damaged(f"a head that names {twice[0]!r} twice", f"{path}, row 1")
            for number, row in enumerate(reader, start=2):
                where = f"{path}, row {number}"
                if None in row or None in row.values():
                    raise _damaged("a row whose columns are not those of the head", where)
                yield where, {name: value for name, value in row.items() if value != ""}
    except (csv.Error, UnicodeDecodeError) as error:
        raise _damaged(f"not CSV in UTF-8: {error}", str(path), "export it again") from error


def _bounded(stream: Any, path: Path) -> Iterator[str]:
    for number, line in enumerate(iter(lambda: stream.readline(MAX_LINE_BYTES + 1), ""), start=1):
        if len(line) > MAX_LINE_BYTES:
            raise _damaged(f"a line of more than {MAX_LINE_BYTES >> 20} MiB", f"{path}, line {number}")
        yield line


def _parquet_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Rows of a Parquet file, batch by batch."""
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise UsageError(
            "Parquet files need the package pyarrow",
            looked_in=str(path),
            next_step="pip install 'mainstay[evaluation]', or give JSONL or CSV",
        ) from error
    try:
        names = [name for name in parquet.read_schema(path).names if name in PLAIN_COLUMNS]
        texts = [name for name in names if name in PLAIN_TEXTS]
        with parquet.ParquetFile(path, read_dictionary=texts) as file:  # a text that recurs is kept once
            if max(_unpacked_bytes(file.metadata, names), default=0) > MAX_DOCUMENT_BYTES:
                raise _damaged(f"rows that unpack to more than {MAX_DOCUMENT_BYTES >> 20} MiB at once", str(path))
            number = 0
            for batch in file.iter_batches(columns=names):
                for values in zip(*map(_arrow_values, batch.columns), strict=True):
                    number += 1
                    row = zip(names, values, strict=True)
                    yield f"{path}, row {number}", {name: value for name, value in row if value is not None}
    except (ArrowException, OSError, KeyError, UnicodeDecodeError) as error:
        fact = f"no Parquet file of scores: {str(error).splitlines()[0]}"
        raise _damaged(fact, str(path), "export it again") from error


def _unpacked_bytes(metadata: Any, names: Sequence[str]) -> Iterator[int]:
    """Bytes that the named columns of each group of rows unpack to."""
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        columns = map(group.column, range(group.num_columns))
        yield sum(each.total_uncompressed_size for each in columns if each.path_in_schema.split(".")[0] in names)


def _arrow_values(array: Any) -> list[Any]:
    """The values of a column, where equal texts are one object."""
    if not hasattr(array, "dictionary"):
        return list(array.to_pylist())
    texts = array.dictionary.to_pylist()
    return [None if index is None else texts[index] for index in array.indices.to_pylist()]


def _plain_items(rows: Iterable[tuple[str, Mapping[str, Any]]], path: Path) -> Iterator[ScoredItem]:
    for number, (where, row) in enumerate(rows):
        if number >= MAX_ITEMS:
            raise _damaged(f"more than {MAX_ITEMS} scores", where)
        texts = {name: _text(row.get(name), name, where) for name in PLAIN_TEXTS}
        if not texts["id"]:
            raise _damaged(f"no id; the row has {', '.join(map(str, list(row)[:8])) or 'nothing'}", where)
        yield ScoredItem(
            **{**texts, "task": texts["task"] or path.stem},
            score=_score(row.get("score"), where),
            repeat=_whole(row.get("repeat", 0), where),
        )


def _text(value: Any, name: str, where: str) -> str:
    """A text, or what can be written as one; nothing is empty."""
    if value is None:
        return ""
    if isinstance(value, (dict, list)) and name in {"task", "id", "cluster"}:
        raise _damaged(f"{name} is neither a text nor a number", where)
    return str(value)


def _whole(value: Any, where: str) -> int:
    try:
        number = int(value)
        if isinstance(value, str) or number == value:
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    raise _damaged(f"repeat is {str(value)[:40]!r}, not a whole number", where)


def _score(value: Any, where: str) -> float | None:
    """A finite number, or nothing."""
    if value is None:
        return None
    if isinstance(value, bool):
        return float(value)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise _damaged(f"a score of {_short(value)}, which is not a number", where) from error
    if not math.isfinite(number):
        raise _damaged(f"a score of {number}", where, "leave the score out where there is none: it is then missing")
    return number


def _short(value: Any) -> str:
    """A value for a message; an integer of thousands of digits has no text."""
    return f"an integer of {value.bit_length():,} bits" if isinstance(value, int) else repr(str(value)[:40])


def _digest(*parts: Any) -> str:
    """SHA-256 of what JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _named(places: Iterable[Any], name: str) -> str:
    """A field of the first mapping that has it; empty if none has it."""
    found = next((place[name] for place in places if isinstance(place, dict) and name in place), "") if name else ""
    return str(found)


def _read_lm_eval(path: Path, task: str, chosen_filter: str, cluster: str) -> Scores:
    """Rows of lm-evaluation-harness: one for each document and filter, with the names of its scores."""
    rows = list(_json_lines(path))
    filters = list(dict.fromkeys(str(row.get("filter", "none")) for _, row in rows))
    wanted = chosen_filter if chosen_filter in filters else filters[0] if len(filters) == 1 else ""
    if rows and not wanted:
        raise UsageError(
            f"{task} has {len(filters)} filters of answers: {', '.join(filters)}",
            looked_in=str(path),
            next_step=f"choose one: --filter {filters[0]}",
        )
    seen: Counter[str] = Counter()
    items: list[ScoredItem] = []
    scorers: dict[str, str] = {}
    for where, row in rows:
        if str(row.get("filter", "none")) == wanted:
            key = str(row.get("doc_hash") or row.get("doc_id"))
            seen[key] += 1
            for metric, item in _lm_eval_items(row, where, task=task, id_=f"{key[:16]}/{seen[key]}", cluster=cluster):
                items.append(item)
                scorers[item.task] = f"{metric},{wanted}"  # as lm-eval itself names a metric after a filter
    repeated = {key[:16] for key, count in seen.items() if count > 1}
    items = [
        item._replace(cluster=document)
        if not item.cluster and (document := item.id.partition("/")[0]) in repeated
        else item
        for item in items
    ]  # a document that occurs twice is one unit
    facts, directions = _lm_eval_facts(path, task)
    facts |= {f"filter of {task}": wanted} if rows else {}
    return Scores(format="lm-eval", items=tuple(items), facts=facts, directions=directions, scorers=scorers)


def _lm_eval_items(
    row: Mapping[str, Any], where: str, *, task: str, id_: str, cluster: str
) -> Iterator[tuple[str, ScoredItem]]:
    """Scores of a row, each with the name of its metric."""
    names = row.get("metrics")
    if not isinstance(names, list) or not names:
        raise _damaged(
            "a row without the names of its scores in 'metrics'", where, "write it with lm-eval 0.4.9 or newer"
        )
    for name in map(str, names):
        value = row.get(name)
        if isinstance(value, (list, dict)):  # a score that is only defined over all documents, such as a perplexity
            continue
        is_missing = value is None or (isinstance(value, float) and math.isnan(value))
        yield (
            name,
            ScoredItem(
                task=task if len(names) == 1 else f"{task}#{name}",
                id=id_,
                score=None if is_missing else _score(value, where),
                cluster=_named([row.get("doc"), row], cluster),
                digest=_digest(row.get("filtered_resps"), row.get("resps")),
                prompt=f"{row.get('prompt_hash', '')}{row.get('target_hash', '')}",
            ),
        )


def _lm_eval_facts(path: Path, task: str) -> tuple[dict[str, str], dict[str, Direction]]:
    """Content of ``results_<date>.json`` next to the samples; empty if there is none."""
    beside = path.with_name(f"results_{path.stem.rpartition('_')[2]}.json")
    if not beside.is_file():
        return {}, {}
    document = _load_document(beside)
    settings = _table(document, "config")
    told = {name: document.get(name) for name in LM_EVAL_FACTS} | {name: settings.get(name) for name in LM_EVAL_SEEDS}
    told |= {
        f"{name} of {task}": _table(document, place).get(task)
        for name, place in (("version", "versions"), ("hash", "task_hashes"), ("few-shot examples", "n-shot"))
    }
    better = _table(_table(document, "higher_is_better"), task)
    unknown = [score for score, is_higher in better.items() if not isinstance(is_higher, bool)]
    told |= {f"better direction of {score} of {task}": "not stated" for score in unknown}
    directions = {
        name: Direction.HIGHER if is_higher else Direction.LOWER
        for score, is_higher in better.items()
        if score not in unknown  # lm-eval writes null for a metric that is not among its own
        for name in ({task, f"{task}#{score}"} if len(better) == 1 else {f"{task}#{score}"})
    }
    return {name: str(value) for name, value in told.items() if value is not None}, directions


def _table(document: Any, name: str) -> Mapping[str, Any]:
    """A table inside a document; empty if there is none."""
    inner = document.get(name) if isinstance(document, dict) else None
    return inner if isinstance(inner, dict) else {}


def _load_document(path: Path) -> dict[str, Any]:
    """The JSON object in a file."""
    if path.stat().st_size > MAX_DOCUMENT_BYTES:
        fact = f"a document of more than {MAX_DOCUMENT_BYTES >> 20} MiB"
        raise _damaged(fact, str(path), "give it as lines, or as .eval")
    document = _parse_json(path.read_bytes(), str(path))
    if not isinstance(document, dict):
        raise _damaged("a document that is no JSON object", str(path))
    return document


def _read_document(path: Path, cluster: str) -> Scores:
    """A JSON document of Inspect or promptfoo."""
    document = _load_document(path)
    if isinstance(document.get("samples"), list) and "eval" in document:
        return _from_inspect(document, document["samples"], path, cluster)
    results = document.get("results")
    if isinstance(results, dict) and isinstance(results.get("results"), list):
        return _from_promptfoo(results["results"], path, cluster)
    raise UsageError(
        "a JSON document that neither Inspect nor promptfoo wrote",
        looked_in=str(path),
        next_step="give a log of Inspect, the output of promptfoo, or lines with id and score",
    )


def _read_eval_log(path: Path, cluster: str) -> Scores:
    """An ``.eval`` archive of Inspect: its header, and the member of every sample that its summaries name.

    The summaries alone would do for the scores, but they cut prompts and leave answers out.
    """
    archives, broken = _archives()
    try:
        with archives.ZipFile(path) as archive:
            header, summaries = (_member(archive, name, path) for name in ("header.json", "summaries.json"))
            if not isinstance(header, dict) or not _are_objects(summaries):
                raise _damaged("a log of Inspect whose members are not what they should be", str(path))
            names = [f"samples/{sample.get('id')}_epoch_{sample.get('epoch')}.json" for sample in summaries]
            return _from_inspect(header, (_member(archive, name, path) for name in names), path, cluster)
    except broken as error:
        step = "convert it: inspect log convert --to json"
        raise _damaged(f"not a log of Inspect: {error}", str(path), step) from error


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _archives() -> tuple[Any, tuple[type[Exception], ...]]:
    """The module for ZIP archives whose members may be compressed by zstd, and what it raises on a damaged one.

    The standard library's own is such a module from Python 3.14 on.
    """
    broken = (zlib.error, struct.error, OSError, KeyError, RuntimeError, EOFError, OverflowError, ValueError)
    if sys.version_info >= (3, 14):
        from compression.zstd import ZstdError as Damaged

        return zipfile, (zipfile.BadZipFile, Damaged, *broken)
    try:
        from backports.zstd import ZstdError
        from backports.zstd import zipfile as with_zstd
    except ImportError:
        return zipfile, (zipfile.BadZipFile, *broken)
    return with_zstd, (with_zstd.BadZipFile, ZstdError, *broken)


def _member(archive: Any, name: str, path: Path) -> Any:
    """A member of an archive as JSON; no more is unpacked than the archive says."""
    if archive.getinfo(name).file_size > MAX_DOCUMENT_BYTES:
        raise _damaged(f"{name} is larger than {MAX_DOCUMENT_BYTES >> 20} MiB", str(path))
    return _parse_json(archive.read(name), f"{path}, {name}")


def _from_inspect(header: Mapping[str, Any], samples: Iterable[Any], path: Path, cluster: str) -> Scores:
    """Samples of Inspect; an unscored sample counts as missing, whereas Inspect's own accuracy leaves it out."""
    about = _table(header, "eval")
    task = str(about.get("task", path.stem))
    read = [_inspect_sample(sample, path, task, cluster) for sample in samples]
    scorers = list(dict.fromkeys(name for _, scores in read for name in scores))
    if read and not scorers:
        raise _damaged("no sample has a score", str(path), "score the log first: inspect score")
    tasks = [task if len(scorers) == 1 else f"{task}#{scorer}" for scorer in scorers]
    items = tuple(
        item._replace(task=name, score=scores.get(scorer))
        for item, scores in read
        for name, scorer in zip(tasks, scorers, strict=True)
    )
    told = {"model": about.get("model"), "status": header.get("status"), "task": task}
    told |= {f"package {name}": value for name, value in _table(about, "packages").items()}
    facts = {name: str(value) for name, value in told.items() if value is not None}
    return Scores(format="inspect", items=items, facts=facts, scorers=dict(zip(tasks, scorers, strict=True)))


def _inspect_sample(sample: Any, path: Path, task: str, cluster: str) -> tuple[ScoredItem, Mapping[str, float | None]]:
    """What is kept of a sample: an item without a score, and its value by each scorer."""
    if not isinstance(sample, dict):
        raise _damaged("a sample that is no JSON object", str(path))
    where = f"{path}, sample {sample.get('id')!r}, epoch {sample.get('epoch')}"
    error = sample.get("error")
    completion = _table(sample, "output").get("completion")
    item = ScoredItem(
        task=task,
        id=str(sample.get("id")),
        score=None,
        repeat=_whole(sample.get("epoch", 1), where) - 1,
        cluster=_named([sample.get("metadata")], cluster),
        error=str(error.get("message", "error") if isinstance(error, dict) else error or ""),
        digest=_digest(completion) if completion is not None else "",
        prompt=_digest(sample.get("input"), sample.get("target")),
    )
    scores = sample.get("scores") or {}
    if not isinstance(scores, dict):
        raise _damaged("scores that are no JSON object", where)
    values: dict[str, Any] = {}
    for name, score in scores.items():
        value = score.get("value") if isinstance(score, dict) else None
        parts = value.items() if isinstance(value, dict) else ()
        values |= {f"{name}.{part}": each for part, each in parts} or {name: value}
    return item, {name: _inspect_value(value, where) for name, value in values.items()}


def _inspect_value(value: Any, where: str) -> float | None:
    if isinstance(value, str):
        if value not in INSPECT_GRADES:
            raise _damaged(
                f"a score of {value[:40]!r}, which has no number", where, "use a scorer of C, P, I, N or numbers"
            )
        return INSPECT_GRADES[value]
    if isinstance(value, float) and math.isnan(value):  # Inspect marks a sample that was not scored in this way
        return None
    return _score(value, where)


def _from_promptfoo(rows: list[Any], path: Path, cluster: str) -> Scores:
    """Results of promptfoo: variables identify an item, a column of its table is a task, and repeats are in order.

    A column belongs to a prompt, and to a provider if there are several.
    """
    has_several = len({_provider(row) for row in rows}) > 1
    seen: Counter[tuple[str, str]] = Counter()
    columns: dict[str, Any] = {}
    items = []
    for number, row in enumerate(rows, start=1):
        where = f"{path}, result {number}"
        if not isinstance(row, dict) or "vars" not in row:
            raise _damaged("a result without its variables", where)
        prompt, column = _table(row, "prompt"), row.get("promptIdx", 0)
        task, id_ = str(prompt.get("label") or column), _digest(row["vars"])[:16]
        if has_several:
            task = f"{task}#{_provider(row)}"
        if columns.setdefault(task, column) != column:
            raise _damaged(f"two prompts or providers named {task!r}", where, "give each a label of its own")
        is_missing = row.get("failureReason") == PROMPTFOO_ERROR
        output = _table(row, "response").get("output")
        items.append(
            ScoredItem(
                task=task,
                id=id_,
                score=None if is_missing else _score(row.get("score"), where),
                repeat=seen[task, id_],
                cluster=_named([row["vars"]], cluster),
                error=str(row.get("error") or "") if is_missing else "",
                digest="" if output is None else _digest(output),
                prompt=_digest(prompt.get("raw")),
            )
        )
        seen[task, id_] += 1
    providers = sorted({str(_table(row, "provider")["id"]) for row in rows if "id" in _table(row, "provider")})
    return Scores(format="promptfoo", items=tuple(items), facts={"providers": ", ".join(providers)})


def _provider(row: Any) -> str:
    """The provider of a result of promptfoo, by its label if it has one."""
    provider = _table(row, "provider")
    return str(provider.get("label") or provider.get("id", ""))


def with_task(scores: Scores, task: str) -> Scores:
    """The same scores with their only task renamed."""
    return replace(
        scores,
        items=tuple(item._replace(task=task) for item in scores.items),
        scorers=dict(zip([task], scores.scorers.values(), strict=False)),
    )
