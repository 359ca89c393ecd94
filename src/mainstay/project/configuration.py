"""Settings in ``[tool.mainstay]`` of a pyproject.toml, checked in full before anything is measured.

Unknown keys, values of the wrong type and numbers outside their range are errors that name the key. This
module only parses text; :mod:`mainstay.commands.gate` chooses the revision whose file is read.

- :class:`Configuration`: the settings, with their defaults.
- :func:`read_configuration`: read the settings from the text of a pyproject.toml.
- :func:`with_settings`: replace some settings in the text, and keep everything else.
"""

from __future__ import annotations

import difflib
import itertools
import keyword
import math
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal, NoReturn, TypeVar, get_args

from mainstay.records.errors import ConfigurationError
from mainstay.records.metrics import Direction, Tier
from mainstay.records.plans import DEFAULT_PAIR_SECONDS
from mainstay.store.files import with_line_ends

T = TypeVar("T")

GroupBy = Literal["file", "class", "test"]
"""What the members of a group have in common."""

TABLE = "tool.mainstay"
"""Table of the settings in pyproject.toml."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationSettings:
    """``[tool.mainstay.evaluation]``: how stored results are judged.

    Attributes:
        margin: Tolerated degradation of every task and of their mean, in units of the score.
        margins: Tolerated degradation by task; ``macro`` is the mean of the tasks.
        tiers: ``blocking``, ``guard`` or ``advisory``, by task; for a task that is not named, it follows from its
            items.
        ranges: Smallest and largest score, by task.
        directions: ``lower``, by task, if lower scores are better and the files do not say so.
        filter: Answer filter of lm-evaluation-harness to use.
        cluster: Field that identifies the cluster of an item.
    """

    margin: float | None = None
    margins: Mapping[str, float] = field(default_factory=dict)
    tiers: Mapping[str, Tier] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    directions: Mapping[str, Direction] = field(default_factory=dict)
    filter: str = ""
    cluster: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Configuration:
    """The settings of a gate.

    Attributes:
        default_branch: Branch that changes are merged into; ``None`` to ask git.
        workloads: Folder of the workloads, relative to the project.
        files: Patterns of the names of workload files, such as ``bench_*.py``, or of the ends of their paths, such as
            ``tests/speed/test_*.py``; empty to use pytest's settings.
        asv: Patterns of the names of files whose functions asv would measure, such as ``*.py``; empty for none.
        looks: Numbers of pairs at which the gate looks, strictly increasing, the first at least 2.
        seconds: Budget for measuring; a pair that is running when it is used up is ended and dropped.
        alpha: Highest probability that a clean change fails the gate.
        margin_level: Level of the tests at the margin, at least ``alpha``.
        fail_fast: Whether the first ``fail`` that blocks, and that no waiver covers, stops the gate.
        proof: Proof by which metrics pass without being measured: ``"unchanged"`` if the installed files of both
            revisions, and everything else that a workload could depend on, are equal but for words of modules that
            nothing reads; ``"executed"`` if, besides, functions differ that many traced calls of the workload do not
            execute, on Python 3.12 or later; ``false`` for none. The proof of the two revisions that assumes less applies.
        margins: Tolerated degradation by metric; it replaces the margin of the workload's marker.
        margins_by_dataset: Tolerated degradation by data set and metric; it replaces both.
        inconclusive: Exit status of an inconclusive gate: 3, 0 or 1. ``"warn"`` means 0 if the estimate of each
            undecided metric lies within its margin and the standard deviation of its pairs is at most three times that
            in ``deviations``, and otherwise 3. The stricter policy of the two revisions applies, in the order 0,
            ``"warn"``, 3, 1.
        deviations: Calibrated standard deviation of a pair's degradation, by id or name of a metric, as ``mainstay
            calibrate --write`` writes it: 0.01 is 1 % of a time, or one point of a score. It is used by ``inconclusive
            = "warn"``. The smaller value of the two revisions applies; a value that only one of them has is ignored.
        group_by: ``"file"``, ``"class"`` or ``"test"``: times and throughputs of one name in the same file, class or
            parametrised test form a group, which is also gated by the geometric mean of their ratios. Its members can
            still fail, but while the mean passes, a member that stays undecided only warns if its estimate lies within
            its margin and twice the margin is excluded. ``None`` for no groups. A gate uses the setting of the baseline.
        waivers: File of accepted degradations.
        constraints: Constraints files of the dependencies, relative to the project.
        extras: Extras of the project that the workloads need.
        groups: Dependency groups that the project needs at run time.
        share: Ignored files and folders that both revisions read, such as ``data``.
        prepare: Command that is run once before the first trial, for example to fetch data.
        trial_seconds: Time limit of one trial. The limit for importing and collecting the workloads is the same, or a
            quarter of ``seconds`` if that is less, but at least 30 s and at most 300 s.
        pair_seconds: Total time of the blocks of each timed workload in a pair up to the first look, of both revisions
            together; later pairs take up to 2.5 times as long as this, if all looks fit into the budget.
        threads: Threads of each worker.
        jobs: Number of accuracy trials that run at once; ``None`` for as many as the processors allow.
        preload: Modules that a server in each revision's environment imports once, before it forks the workers
            (Linux only); if empty, each worker is a fresh interpreter. Calibrate with this setting before gates use it.
        writable: Files and folders outside the project that workers can write to in addition to their own folders,
            absolute or beginning with ``~/``. A gate uses the setting of the baseline.
        evaluation: Settings of ``mainstay judge`` for stored results: the keys ``margin``, ``margins``, ``tiers``,
            ``ranges``, ``directions``, ``filter`` and ``cluster``. A gate does not use them. ``mainstay judge`` also
            uses ``alpha``, ``margin_level`` and ``inconclusive``.

    Example:
        >>> Configuration(margins={"top1_accuracy": 0.002}).margin("top1_accuracy", dataset="mnist")
        0.002
    """

    default_branch: str | None = None
    workloads: str = "benchmarks"
    files: tuple[str, ...] = ()
    asv: tuple[str, ...] = ()
    looks: tuple[int, ...] = (5, 8, 12, 20)
    seconds: float = 900.0
    alpha: float = 0.01
    margin_level: float = 0.05
    fail_fast: bool = False
    proof: Literal["unchanged", "executed", False] = "unchanged"
    margins: Mapping[str, float] = field(default_factory=dict)
    margins_by_dataset: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    inconclusive: Literal[0, 1, 3, "warn"] = 3
    deviations: Mapping[str, float] = field(default_factory=dict)
    group_by: GroupBy | None = None
    waivers: str = ".mainstay-waivers.toml"
    constraints: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    share: tuple[str, ...] = ()
    prepare: tuple[str, ...] = ()
    trial_seconds: float = 600.0
    pair_seconds: float = DEFAULT_PAIR_SECONDS
    threads: int = 1
    jobs: int | None = None
    preload: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    evaluation: EvaluationSettings = EvaluationSettings()

    def margin(self, metric: str, *, dataset: str | None = None) -> float | None:
        """Return the configured margin of a metric on a data set, or ``None`` if the marker's applies.

        Example:
            >>> settings = Configuration(margins={"top1_accuracy": 0.002},
            ...                          margins_by_dataset={"digits": {"top1_accuracy": 0.03}})
            >>> settings.margin("top1_accuracy", dataset="digits"), settings.margin("perplexity")
            (0.03, None)
        """
        by_dataset = self.margins_by_dataset.get(dataset, {}) if dataset is not None else {}
        return by_dataset.get(metric, self.margins.get(metric))

    def num_jobs(self, num_cores: int) -> int:
        """Return the number of accuracy trials run at once on a machine with the given number of processors.

        Example:
            >>> Configuration(threads=2).num_jobs(5)
            2
        """
        return self.jobs if self.jobs is not None else max(1, num_cores // self.threads)


def read_configuration(pyproject_text: bytes | str, where: str) -> Configuration:
    r"""Read the settings from the text of a pyproject.toml.

    Args:
        pyproject_text: Content of the whole file; bytes are decoded as UTF-8.
        where: Name of the file in messages.

    Raises:
        ConfigurationError: If the file is not TOML, or a key or value of ``[tool.mainstay]`` is wrong.

    Example:
        >>> read_configuration("[tool.mainstay]\nseconds = 60", "pyproject.toml").seconds
        60.0
    """
    table = _tool_table(pyproject_text, where)
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in _READERS:
            _refuse_key(key, _READERS, where)
        try:
            values[key] = _READERS[key](value)
        except _ValueRefused as refusal:
            path = ".".join((TABLE, key, *refusal.path))
            raise ConfigurationError(
                f"{path} is {_display(refusal.found)}, expected {refusal.expected}",
                looked_in=where,
                next_step=f"correct {path}",
            ) from None
    if "margins" in values:
        values["margins"], values["margins_by_dataset"] = values["margins"]
    configuration = Configuration(**values)
    if configuration.alpha > configuration.margin_level:
        raise ConfigurationError(
            f"{TABLE}.alpha is {configuration.alpha}, expected at most {TABLE}.margin_level, which is "
            f"{configuration.margin_level}",
            looked_in=where,
            next_step=f"lower {TABLE}.alpha or raise {TABLE}.margin_level",
        )
    return configuration


def with_settings(
    pyproject_text: str,
    where: str,
    *,
    looks: Iterable[int],
    seconds: float,
    margins: Mapping[str, float],
    deviations: Mapping[str, float],
) -> str:
    r"""Replace settings in the text of a pyproject.toml; comments, line ends and everything else stay as they are.

    Args:
        pyproject_text: Content of the whole file.
        where: Name of the file in messages.
        looks: Numbers of pairs at which the gate looks.
        seconds: Budget for measuring.
        margins: Margins by metric, to be added to the existing ones.
        deviations: Deviations by metric, to be added to the existing ones.

    Returns:
        The new text.

    Raises:
        ConfigurationError: If the old or the new text cannot be read.

    Example:
        >>> old = "[tool.mainstay]\nseconds = 60  # short\n"
        >>> print(with_settings(old, "pyproject.toml", looks=(5, 8), seconds=90, margins={}, deviations={}), end="")
        [tool.mainstay]
        seconds = 90  # short
        looks = [5, 8]
    """
    import tomlkit

    read_configuration(pyproject_text, where)
    document = tomlkit.parse(pyproject_text)
    tool = _child(document, "tool")
    table = _child(tool, "mainstay")
    _replace(table, "seconds", int(seconds) if seconds == int(seconds) else seconds)
    _replace(table, "looks", list(looks))
    for key, values in {"margins": margins, "deviations": deviations}.items():
        if values:
            by_metric = _child(table, key)
            for name, value in values.items():
                _replace(by_metric, name, value)
    text = with_line_ends(tomlkit.dumps(document), pyproject_text)
    read_configuration(text, where)
    return text


def _child(parent: Any, key: str) -> Any:
    """A subtable of a tomlkit table, appended if it does not exist.

    If ``[a]`` is only implied by ``[a.b]``, it is created: otherwise tomlkit would give its header the
    comment of ``[a.b]``.
    """
    from tomlkit import inline_table, table
    from tomlkit.items import InlineTable, Table

    known = parent.get(key)
    if known is None:
        parent[key] = inline_table() if isinstance(parent, InlineTable) else table(is_super_table=key == "tool")
    elif isinstance(known, Table) and known.is_super_table() and key != "tool":
        explicit = table()
        for name, value in known.items():
            explicit.append(name, value)
        parent.remove(key)
        parent.append(key, explicit)
    return parent[key]


def _replace(table: Any, key: str, value: Any) -> None:
    """Set a key of a TOML table, unless it has that value already, so that its formatting is kept."""
    if key not in table or table[key] != value:
        table[key] = value


class _ValueRefused(Exception):
    """A value is not allowed; ``path`` is its location below the key."""

    def __init__(self, found: object, expected: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(expected)
        self.found = found
        self.expected = expected
        self.path = path


def _tool_table(pyproject_text: bytes | str, where: str) -> Mapping[str, Any]:
    """Return ``[tool.mainstay]``; empty if there is none."""
    try:
        text = pyproject_text.decode() if isinstance(pyproject_text, bytes) else pyproject_text
        found: Any = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"not a TOML file: {error}", looked_in=where, next_step="correct the syntax of the file"
        ) from None
    for key in TABLE.split("."):
        found = found.get(key, {})
        if not isinstance(found, dict):
            raise ConfigurationError(
                f"{key} of {TABLE} is {_display(found)}, expected a table",
                looked_in=where,
                next_step=f"write the settings under [{TABLE}]",
            )
    return dict(found)


def _refuse_key(key: str, known: Iterable[str], where: str) -> NoReturn:
    """Raise for an unknown key, naming the nearest known one."""
    names = sorted(known)
    near = difflib.get_close_matches(key.lower().replace("-", "_"), names, n=1)
    advice = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(names)}"
    raise ConfigurationError(f"unknown key {TABLE}.{key}", looked_in=where, next_step=advice)


def _display(value: object) -> str:
    """Return a value in TOML notation, with its type."""
    names = {
        bool: "a boolean",
        int: "an integer",
        float: "a number",
        str: "a string",
        list: "an array",
        dict: "a table",
    }
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    return f"{shown if len(shown) <= 60 else shown[:57] + '...'} ({names.get(type(value), type(value).__name__)})"


def _text(value: object) -> str:
    """Read a string that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise _ValueRefused(value, "a non-empty string")
    return value


def _module(value: object) -> str:
    """Read the full name of a module."""
    parts = value.split(".") if isinstance(value, str) else [""]
    if not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        raise _ValueRefused(value, "the full name of a module, such as 'torch'")
    return str(value)


def _name_pattern(value: object) -> str:
    """Read a file name pattern."""
    text = _text(value)
    if "/" in text or not text.endswith(".py") or text.split() != [text]:
        raise _ValueRefused(value, "a pattern of names without spaces that ends in .py, such as 'bench_*.py'")
    return text


def _path_pattern(value: object) -> str:
    """Read a pattern of file names, or of paths inside the project."""
    text = _text(value)
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or not text.endswith(".py") or text.split() != [text]:
        raise _ValueRefused(
            value,
            "a pattern without spaces that ends in .py, of names such as 'bench_*.py' or of paths inside the project",
        )
    return str(path)


def _inner_path(value: object) -> str:
    """Read a path that stays inside the project."""
    path = PurePosixPath(_text(value))
    if path.is_absolute() or ".." in path.parts or path == PurePosixPath():
        raise _ValueRefused(value, "a path inside the project, relative to pyproject.toml")
    return str(path)


def _outer_path(value: object) -> str:
    """Read a path that does not depend on the location of the project."""
    path = PurePosixPath(_text(value))
    if not path.is_absolute() and (path.parts[0] != "~" or len(path.parts) < 2):
        raise _ValueRefused(value, "an absolute path, or one that begins with '~/'")
    return str(path)


def _one_of(*allowed: T, expected: str) -> Callable[[object], T]:
    """Return a reader of some values; true is no 1, and 0 is no false."""

    def read(value: object) -> T:
        for each in allowed:
            if value == each and isinstance(each, type(value)) and isinstance(value, bool) is isinstance(each, bool):
                return each
        raise _ValueRefused(value, expected)

    return read


def _number_between(low: float, high: float) -> Callable[[object], float]:
    """Return a reader of numbers strictly between two bounds."""
    expected = f"a number above {low:g}" + ("" if high == math.inf else f" and below {high:g}")

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low < value < high:
            raise _ValueRefused(value, expected)
        return float(value)

    return read


def _count(value: object) -> int:
    """Read an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _ValueRefused(value, "an integer of at least 1")
    return value


def _looks(value: object) -> tuple[int, ...]:
    """Read the numbers of pairs at which the gate looks."""
    looks = _array_of(_count)(value)
    if not looks or looks[0] < 2 or any(after <= before for before, after in itertools.pairwise(looks)):
        raise _ValueRefused(value, "strictly increasing integers, the first at least 2")
    return looks


def _array_of(read: Callable[[object], T]) -> Callable[[object], tuple[T, ...]]:
    """Return a reader for arrays with items of one type."""

    def read_array(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise _ValueRefused(value, "an array")
        return tuple(_inside(str(index), read, item) for index, item in enumerate(value))

    return read_array


def _margins(value: object) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Read margins by metric and, one level deeper, by data set and metric."""
    if not isinstance(value, dict):
        raise _ValueRefused(value, "a table of margins by metric")
    read = _number_between(0, math.inf)
    by_metric: dict[str, float] = {}
    by_dataset: dict[str, dict[str, float]] = {}
    for name, entry in value.items():
        if isinstance(entry, dict):
            by_dataset[name], deeper = _inside(name, _margins, entry)
            if deeper:
                raise _ValueRefused(entry, "margins by metric", (name,))
        else:
            by_metric[name] = _inside(name, read, entry)
    return by_metric, by_dataset


def _table_of(read: Callable[[object], T], expected: str) -> Callable[[object], dict[str, T]]:
    """Return a reader for tables with values of one type."""

    def read_table(value: object) -> dict[str, T]:
        if not isinstance(value, dict):
            raise _ValueRefused(value, expected)
        return {name: _inside(name, read, entry) for name, entry in value.items()}

    return read_table


def _inside(name: str, read: Callable[[object], T], value: object) -> T:
    """Read a value of a table or an array; an error names its path."""
    try:
        return read(value)
    except _ValueRefused as refusal:
        raise _ValueRefused(refusal.found, refusal.expected, (name, *refusal.path)) from None


def _range(value: object) -> tuple[float, float]:
    """Read the smallest and the largest score."""
    ends = _array_of(_number_between(-math.inf, math.inf))(value)
    if len(ends) != 2 or ends[0] >= ends[1]:
        raise _ValueRefused(value, "the smallest and the largest score, such as [0, 10]")
    return ends[0], ends[1]


def _evaluation(value: object) -> EvaluationSettings:
    """Read how stored results are judged."""
    if not isinstance(value, dict):
        raise _ValueRefused(value, "a table")
    for key in value:
        if key not in _EVALUATION_READERS:
            near = difflib.get_close_matches(key, _EVALUATION_READERS, n=1)
            known = f"{near[0]!r}, the nearest key" if near else f"one of the keys {', '.join(_EVALUATION_READERS)}"
            raise _ValueRefused(value[key], known, (key,))
    return EvaluationSettings(**{key: _inside(key, _EVALUATION_READERS[key], value[key]) for key in value})


_EVALUATION_READERS: Mapping[str, Callable[[object], Any]] = {
    "margin": _number_between(0, math.inf),
    "margins": _table_of(_number_between(0, math.inf), "a table of margins by task"),
    "tiers": _table_of(_one_of(*Tier, expected="'blocking', 'guard' or 'advisory'"), "a table of tiers by task"),
    "ranges": _table_of(_range, "a table of ranges by task"),
    "directions": _table_of(_one_of(*Direction, expected="'higher' or 'lower'"), "a table of directions by task"),
    "filter": _text,
    "cluster": _text,
}

_READERS: Mapping[str, Callable[[object], Any]] = {
    "default_branch": _text,
    "workloads": _inner_path,
    "files": _array_of(_path_pattern),
    "asv": _array_of(_name_pattern),
    "looks": _looks,
    "seconds": _number_between(0, math.inf),
    "alpha": _number_between(0, 0.5),
    "margin_level": _number_between(0, 0.5),
    "fail_fast": _one_of(True, False, expected="true or false"),
    "proof": _one_of("unchanged", "executed", False, expected="'unchanged', 'executed' or false"),
    "margins": _margins,
    "inconclusive": _one_of(0, 1, 3, "warn", expected="0, 1, 3 or 'warn'"),
    "deviations": _table_of(_number_between(0, math.inf), "a table of deviations by metric"),
    "group_by": _one_of(*get_args(GroupBy), expected="'file', 'class' or 'test'"),
    "waivers": _inner_path,
    "constraints": _array_of(_inner_path),
    "extras": _array_of(_text),
    "groups": _array_of(_text),
    "share": _array_of(_inner_path),
    "prepare": _array_of(_text),
    "trial_seconds": _number_between(0, math.inf),
    "pair_seconds": _number_between(0, math.inf),
    "threads": _count,
    "jobs": _count,
    "preload": _array_of(_module),
    "writable": _array_of(_outer_path),
    "evaluation": _evaluation,
}
