"""The command line: parse, call the function of the command in :mod:`mainstay.commands`, print, exit status.

Slow modules are imported by the commands that need them, so that ``mainstay --help`` is quick. This is the only
place where errors become text and an exit status.
"""

from __future__ import annotations

import gc
import io
import math
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import click

from mainstay.records.errors import (
    CONTINUE_SHARD,
    REPEAT_INIT,
    RESTART_CALIBRATION,
    RESUME_GATE,
    Interrupted,
    MainstayError,
    StoreError,
    UsageError,
)
from mainstay.reports.cleaning import clean_lines
from mainstay.reports.forms import FORMS
from mainstay.store.interruption import interruptible, interrupts_taken

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from mainstay.commands.outcome import RunOutcome
    from mainstay.commands.rehearsal import Rehearsal
    from mainstay.reports.progress import LiveProgress, PlainProgress


class FiniteRange(click.FloatRange):
    """Range of finite numbers: JSON has no others, so a run could not be recorded with one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse a number, and refuse one outside the range."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


FILE = click.Path(dir_okay=False, path_type=Path)


class Output(click.Path):
    """A file to be written, to which no link leads that the repository's content, not its user, has put there."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert the name, and refuse such a link before anything is measured."""
        from mainstay.revisions.tracking import refuse_tracked_links

        path = super().convert(value, param, ctx)
        refuse_tracked_links(Path(value))
        return path


OUTPUT = Output(dir_okay=False, path_type=Path)

FOLDER = click.option(
    "-C", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="Run in this folder."
)
"""The option of every command that works in a project."""

FILES = tuple(name for name, form in FORMS.items() if form.help)
"""Forms of report that an option writes to a file, in the order of the help."""

EXIT_STATUS_HELP = """
\b
Exit status:
    0  pass, or no blocking finding (new workloads do not block)
    1  fail, missing, an implausible accuracy, or the candidate alone is broken
    2  wrong usage: an option, a revision, a key of [tool.mainstay]
    3  inconclusive, or a changed workload or a large gain needs a person's review
       (the setting inconclusive may change 3 to 1, and to 0 for undecided metrics)
    4  the baseline, the tool or the environment is broken, or nothing was judged
  130  interrupted; continue with 'mainstay gate --resume'
"""


def report_options(forms: Sequence[str]) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command an option for each form of report, which names the file to write.

    Args:
        forms: Names from :data:`FILES`.
    """

    def with_options(command: Callable[..., int]) -> Callable[..., int]:
        for form in reversed(forms):
            command = click.option(f"--{form}", type=OUTPUT, help=FORMS[form].help)(command)
        return command

    return with_options


@contextmanager
def observed(next_step: str) -> Iterator[PlainProgress | LiveProgress]:
    """Show the progress of a command on stderr, end the processes that its workers leave, and explain an interrupt.

    Args:
        next_step: What the user can do after an interrupt.
    """
    from mainstay.reports.progress import progress_for
    from mainstay.workers.descendants import inheriting_orphans

    with inheriting_orphans(), interruptible(next_step), progress_for(sys.stderr) as observer:
        yield observer


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_STATUS_HELP)
@click.version_option(package_name="mainstay")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")  # read by run()
def main() -> None:
    """Tell whether a change made the model less accurate or the code slower.

    Workloads are pytest tests in the folder 'benchmarks': one that records a metric with the fixture 'trial', or
    times a call with the fixture 'benchmark'. Settings are in [tool.mainstay] of pyproject.toml.
    """


@main.command(epilog=EXIT_STATUS_HELP)
@click.option("--baseline", metavar="REV", help="Compare with this revision.  [default: the merge base]")
@click.option("--candidate", metavar="REV", help="Judge this revision.  [default: the working tree]")
@click.option(
    "--resume",
    is_flag=True,
    help="Continue the latest interrupted gate with its own options (others are refused). Completed trials are kept, "
    "except after a kill where workers are not confined.",
)
@report_options(FILES)
@click.option("--seconds", type=FiniteRange(min=0), help="Measure no longer than this.  [default: as configured]")
@click.option("--fail-fast/--no-fail-fast", default=None, help="Stop at the first fail.  [default: as configured]")
@click.option(
    "--fresh", is_flag=True, help="Use new seeds instead of those derived from the baseline, and reuse no trial."
)
@click.option(
    "--only", type=click.Choice(["accuracy", "performance"]), help="Gate only this part.  [default: all workloads]"
)
@click.option(
    "--pairs",
    type=click.IntRange(min=5),
    help="Measure this many pairs, then look once.  [default: looks as configured]",
)
@click.option(
    "-k", "keyword", metavar="EXPR", default="", help="Gate the workloads that pytest's -k selects.  [default: all]"
)
@click.option(
    "-m", "marks", metavar="EXPR", default="", help="Gate the workloads that pytest's -m selects.  [default: all]"
)
@click.option(
    "--cluster",
    metavar="ADDRESS",
    default="",
    help="Measure accuracy on the Dask cluster of this scheduler, times here.  [default: all here]",
)
@click.option(
    "--explain", is_flag=True, help="Unless the gate passes, report where the two revisions differ first, too."
)
@click.option("--allow-unjudged", is_flag=True, help="Let a gate pass that judged nothing.")
@click.option(
    "--acknowledge-gain",
    "acknowledged",
    multiple=True,
    metavar="METRIC",
    help="Accept the large gain of this metric, which a person has examined.",
)
@FOLDER
@click.argument("places", metavar="[FILE]...", nargs=-1)
def gate(*, folder: Path, **options: Any) -> int:
    """Judge the working tree, or a revision, against its baseline; FILEs, folders or node ids select workloads."""
    from mainstay.commands import gate as gating
    from mainstay.reports import publishing

    places = {form: options.pop(form) for form in FILES}
    with observed(RESUME_GATE) as observer:
        outcome = gating.gate(folder, gating.GateOptions(**options), environ=os.environ, observer=observer)
    _tell(outcome)
    click.echo(publishing.report_to_actions(outcome.run, os.environ), nl=False)
    try:
        publishing.write_reports(outcome.run, places)
    except StoreError as error:
        place = os.path.relpath(outcome.path)
        way_on = f"nothing is lost: 'mainstay report {place}' writes a report elsewhere, without measuring again"
        raise StoreError(error.fact, looked_in=error.looked_in, next_step=way_on) from error
    return outcome.run.exit_status


TRIALS_EXIT_STATUS_HELP = """
\b
Exit status:
    0  the piece is written; 'mainstay judge --pieces' judges those of all shards
    1  the candidate alone cannot be built
    2, 4  as for the gate
    130  interrupted; the same command continues
"""


@main.command(epilog=TRIALS_EXIT_STATUS_HELP)
@click.option("--shard", required=True, metavar="I/N", help="Measure shard I of N, such as 2/4.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the folder of the piece here.  [default: .mainstay/pieces]",
)
@click.option(
    "--up-to",
    type=click.IntRange(min=2),
    help="Measure this many pairs, over all shards; more can be added later.  [default: the last look]",
)
@click.option("--baseline", metavar="REV", help="Compare with this revision.  [default: the merge base]")
@click.option("--candidate", metavar="REV", help="Judge this revision.  [default: the working tree]")
@click.option("--seconds", type=FiniteRange(min=0), help="Measure no longer than this.  [default: as configured]")
@click.option(
    "--pairs", type=click.IntRange(min=5), help="Plan a single look at this many pairs.  [default: looks as configured]"
)
@click.option(
    "-k", "keyword", metavar="EXPR", default="", help="Measure the workloads that pytest's -k selects.  [default: all]"
)
@click.option(
    "-m", "marks", metavar="EXPR", default="", help="Measure the workloads that pytest's -m selects.  [default: all]"
)
@FOLDER
@click.argument("places", metavar="[FILE]...", nargs=-1)
def trials(*, folder: Path, **options: Any) -> int:
    """Measure one shard of a gate's accuracy, for a gate that several machines share; times are never sharded.

    The same command continues a shard that was killed, or whose time was used up. 'mainstay judge --pieces' judges all
    shards together.
    """
    from mainstay.commands import trials as measuring

    with observed(CONTINUE_SHARD) as observer:
        outcome = measuring.measure_shard(
            folder, measuring.trials_options(**options), environ=os.environ, observer=observer
        )
    click.echo(f"shard {outcome.shard}: {outcome.num_trials} trials, complete up to {outcome.num_pairs} pairs")
    if not outcome.is_complete:
        click.echo("the time was used up before all of the share was measured: run the same command again")
    click.echo(f"piece: {os.path.relpath(outcome.path)}")
    return 0


JUDGE_EXIT_STATUS_HELP = """
\b
Exit status:
    0  pass: no task degraded by more than its margin, within the promised error rates
    1  fail, a task is missing, or the candidate's results cannot be judged
    2  wrong usage: a missing file, no margin, or several filters to choose from
    3  inconclusive, or an implausible gain that nobody has acknowledged
       (the setting inconclusive may change 3 to 1, and to 0 for undecided tasks)
    4  a file is damaged, the baseline's results cannot be judged, or nothing was judged
"""


def _tell(outcome: RunOutcome) -> None:
    """Print the report of a run, and where its document is."""
    from mainstay.reports import publishing

    click.echo(publishing.render_for(outcome.run, sys.stdout, os.environ))
    click.echo(f"run: {os.path.relpath(outcome.path)}")


def _task_margins(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, float]:
    """Parse TASK=MARGIN pairs to a mapping."""
    margins = {}
    for text in given:
        task, _, margin = text.rpartition("=")
        try:
            margins[task] = float(margin)
        except ValueError:
            margins[task] = 0.0
        if not task or not 0 < margins[task] < math.inf:
            raise click.BadParameter(f"{text!r} is not TASK=MARGIN, such as gsm8k=0.02", context, parameter)
    return margins


def _score_range(context: click.Context, parameter: click.Parameter, given: str | None) -> tuple[float, float] | None:
    """Parse LOW:HIGH to two numbers."""
    if given is None:
        return None
    try:
        low, high = map(float, given.split(":"))
    except ValueError:
        low, high = 1.0, 0.0
    if not -math.inf < low < high < math.inf:
        raise click.BadParameter(f"{given!r} is not LOW:HIGH, such as 0:10", context, parameter)
    return low, high


@main.command(epilog=JUDGE_EXIT_STATUS_HELP)
@click.argument(
    "places", metavar="BASELINE CANDIDATE | --pieces DIR...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--pieces", is_flag=True, help="Judge the pieces of a gate in these folders, written by 'mainstay trials'."
)
@click.option(
    "--margin",
    type=FiniteRange(min=0, min_open=True),
    help="Tolerated degradation of every task and of their mean: 0.02 is 2 points.  [default: as configured]",
)
@click.option(
    "--task-margin",
    "task_margins",
    multiple=True,
    metavar="TASK=MARGIN",
    callback=_task_margins,
    help="Tolerated degradation of one task, or of 'macro', the mean of the tasks.",
)
@click.option(
    "--config", type=FILE, help="Read [tool.mainstay] from this file.  [default: pyproject.toml, if it exists]"
)
@click.option("--filter", default="", metavar="NAME", help="Answer filter of lm-evaluation-harness to use.")
@click.option("--cluster", default="", metavar="FIELD", help="Field that identifies the cluster of an item.")
@click.option("--prompt-changed", is_flag=True, help="Different prompts for the same items are intended.")
@click.option(
    "--range", "score_range", metavar="LOW:HIGH", callback=_score_range, help="Smallest and largest possible score."
)
@click.option(
    "--acknowledge-gain",
    "acknowledged",
    multiple=True,
    metavar="TASK",
    help="Accept the large gain of this task, which a person has examined.",
)
@report_options(FILES)
@FOLDER
@click.pass_context
def judge(context: click.Context, /, *, places: tuple[Path, ...], pieces: bool, folder: Path, **options: Any) -> int:
    """Judge stored results of an evaluation, CANDIDATE against BASELINE, or the pieces of a gate; nothing is measured.

    BASELINE and CANDIDATE are files or folders: samples of lm-evaluation-harness, logs of Inspect, the output of
    promptfoo, or JSONL, CSV or Parquet with an id and a score in each row.
    """
    from mainstay.reports import publishing

    reports = {form: options.pop(form) for form in FILES}
    outcome = _judge_pieces(context, folder, places, options) if pieces else _judge_results(folder, places, options)
    _tell(outcome)
    click.echo(publishing.report_to_actions(outcome.run, os.environ), nl=False)
    publishing.write_reports(outcome.run, reports)
    return outcome.run.exit_status


def _judge_results(folder: Path, places: Sequence[Path], options: dict[str, Any]) -> RunOutcome:
    """Judge the results in two files or folders."""
    from mainstay.commands import judge as judging

    try:
        baseline, candidate = places
    except ValueError:
        raise click.UsageError("give two files or folders, BASELINE and CANDIDATE, or folders with --pieces") from None
    return judging.judge(folder, baseline, candidate, judging.JudgeOptions(**options))


def _judge_pieces(context: click.Context, folder: Path, places: Sequence[Path], options: dict[str, Any]) -> RunOutcome:
    """Judge pieces, which bring their own settings with them."""
    from mainstay.commands import judge_pieces as judging

    given = click.core.ParameterSource.COMMANDLINE
    allowed = {"places", "pieces", "folder", "acknowledged", *FILES}
    for parameter in context.command.params:
        if parameter.name not in allowed and context.get_parameter_source(str(parameter.name)) is given:
            raise click.UsageError(f"{parameter.opts[0]} is for stored results; pieces bring their settings with them")
    return judging.judge_pieces(folder, places, environ=os.environ, acknowledged=options["acknowledged"])


CALIBRATE_EXIT_STATUS_HELP = """
\b
Exit status:
    0  the budget supports every margin
    1  a margin is refused; the report says what would support it
    2, 4  as for the gate
    130  interrupted; a calibration cannot be resumed
"""


@main.command(epilog=CALIBRATE_EXIT_STATUS_HELP)
@click.option("--revision", metavar="REV", help="Build this revision twice.  [default: the working tree]")
@click.option("--pairs", type=int, help="Number of pairs to measure.  [default: the last configured look]")
@click.option(
    "--seconds", type=FiniteRange(min=0, min_open=True), help="Budget of a later gate.  [default: as configured]"
)
@click.option("--write", is_flag=True, help="Write the proposed settings to [tool.mainstay] of pyproject.toml.")
@click.option("--json", type=OUTPUT, help="Write a copy of the document.")
@FOLDER
def calibrate(*, write: bool, json: Path | None, folder: Path, **options: Any) -> int:
    """Gate the working tree against itself: how noisy is this machine, and which settings does it support?"""
    from mainstay.commands import calibrate as calibrating

    with observed(RESTART_CALIBRATION) as observer:
        calibration, document = calibrating.calibrate(
            folder, calibrating.CalibrationOptions(**options), environ=os.environ, observer=observer
        )
    click.echo(calibrating.render(calibration))
    click.echo(f"calibration: {os.path.relpath(document)}")
    if json:
        calibrating.write_document(json, calibration)
    if write:
        place = calibrating.write_settings(folder, calibration)
        click.echo(f"written to {os.path.relpath(place)}; commit it with the workloads")
    return calibration.exit_status


@main.command()
@click.argument("run", type=FILE)
@click.option("--text", is_flag=True, help="Print the report.  [default if no file is written]")
@report_options([form for form in FILES if form != "json"])
def report(*, run: Path, text: bool, **places: Path | None) -> int:
    """Render the document RUN of a gate."""
    from mainstay.reports import publishing

    document = publishing.read_run(run)
    publishing.write_reports(document, places)
    if text or not any(places.values()):
        click.echo(publishing.render_for(document, sys.stdout, os.environ))
    return 0


@main.command()
@click.argument("run", metavar="[RUN]", default="")
@click.option("--workload", default="", metavar="ID", help="Explain this workload.  [default: the worst finding's]")
@click.option("--pair", type=int, default=1, help="Use the seed of this pair.  [default: 1]")
@click.option("--json", "place", type=OUTPUT, help="Write the explanation to this file.")
@FOLDER
def explain(*, place: Path | None, folder: Path, **options: Any) -> int:
    """Name the first place where the two revisions of RUN part: step, operator, line and what changed there.

    RUN is the document or the name of a gate's run; by default the latest one. Each revision runs one trial
    under torch's dispatch, the baseline two.
    """
    from mainstay.commands import explain as explaining

    with observed(explaining.RESTART) as observer:
        found = explaining.explain(folder, explaining.ExplainOptions(**options), environ=os.environ, observer=observer)
    click.echo(explaining.render(found))
    if place:
        explaining.write_explanation(found, place)
    return 0


@main.command()
@click.argument("first", type=FILE)
@click.argument("second", type=FILE)
def compare(*, first: Path, second: Path) -> int:
    """Describe the differences between the documents of two gates."""
    from mainstay.reports import publishing

    click.echo(publishing.compare(first, second))
    return 0


@main.command()
@click.argument("metric")
@click.option(
    "--limit", type=float, required=True, help="The largest degradation accepted, on the scale of the margin."
)
@click.option("--reason", required=True, help="Why it is accepted.")
@click.option("--until", required=True, metavar="DATE", help="Last day on which it applies, such as 2027-01-31.")
@click.option("--judged", is_flag=True, help="METRIC belongs to stored results, judged by 'mainstay judge'.")
@FOLDER
def waive(*, folder: Path, **entry: Any) -> int:
    """Accept a degradation of METRIC, in a file that is reviewed with the change."""
    from mainstay.commands import waive as waiving

    place = waiving.waive(folder, **entry)
    click.echo(f"waived in {os.path.relpath(place)}; commit it with the change")
    return 0


@main.command()
@click.option(
    "--quick", is_flag=True, help="Check only existing files; build nothing, and start no interpreter of the project."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@FOLDER
def doctor(*, quick: bool, as_json: bool, folder: Path) -> int:
    """Report what the machine offers, what would stop a gate, and what the next gate would do.

    Without --quick, both revisions are built and each workload is tried, in a temporary folder.
    """
    from mainstay.commands import doctor as examination
    from mainstay.workers.descendants import inheriting_orphans

    with inheriting_orphans():
        report = examination.examine(folder, quick=quick, rehearse=None if quick else _rehearsal())
    click.echo(examination.render_json(report) if as_json else examination.render_text(report))
    return report.exit_status


INIT_EXIT_STATUS_HELP = """
\b
Exit status:
    0  the project is set up, and its tree passes the gate against itself
    2  wrong usage: no terminal for the question, unreadable settings, or no Python project
    4  a file could not be written (then none was), or something would stop a gate
    1, 3  as for the gate
  130  interrupted; the message says whether to run it again or to continue its gate
"""


@main.command(epilog=INIT_EXIT_STATUS_HELP)
@click.option("--yes", is_flag=True, help="Write without asking.")
@click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
@click.option(
    "--example",
    type=click.Choice(["suite", "training", "import", "results"]),
    help="Kind of the first workloads.  [default: the first of these that the project has]",
)
@click.option("--workloads", default="", metavar="FOLDER", help="Folder of the workloads.  [default: the existing one]")
@click.option("--ci/--no-ci", default=None, help="Write a workflow for GitHub Actions.  [default: if it will work]")
@click.option(
    "--install",
    "requirement",
    default="",
    metavar="REQUIREMENT",
    help="Requirement from which CI installs mainstay.  [default: that of this installation]",
)
@click.option(
    "--scaffold", is_flag=True, help="Also write mainstay's maintenance scaffold: sessions, hooks, forms, guides."
)
@click.option(
    "--scaffold-from",
    "source",
    default="",
    metavar="FOLDER|URL[@VERSION]",
    help="Template of the scaffold.  [default: that of this version of mainstay]",
)
@click.option(
    "--answer",
    "answers",
    multiple=True,
    metavar="KEY=VALUE",
    help="Answer to a question of the scaffold, such as kind=library; can be repeated.",
)
@click.option(
    "--existing",
    type=click.Choice(["keep", "replace"]),
    help="How to treat files that differ from the scaffold's.  [default: they are an error]",
)
@click.option(
    "--gate/--no-gate", "gates", default=True, help="At the end, gate the tree against itself.  [default: --gate]"
)
@FOLDER
def init(
    *,
    yes: bool,
    dry_run: bool,
    scaffold: bool,
    source: str,
    answers: tuple[str, ...],
    existing: str | None,
    gates: bool,
    folder: Path,
    **wishes: Any,
) -> int:
    """Set up a project for gates: settings, a first workload, CI. If run again, it adds what is missing.

    It surveys the project, shows the files that it would write, and asks. It commits nothing.
    """
    from mainstay.commands import init as adopting
    from mainstay.commands.scaffold import scaffold_options

    asks = not yes and not dry_run and sys.stdin.isatty()
    options = scaffold_options(wanted=scaffold, source=source, answers=answers, existing=existing, asks=asks)
    adoption = adopting.plan_adoption(folder, environ=os.environ, scaffold=options, **wishes)
    for line in adoption.survey.describe():
        click.echo(clean_lines(line))
    for note in adoption.notes:
        click.echo(clean_lines(f"note: {note}"))
    click.echo()
    if not adoption.edits:
        click.echo("nothing to write: the project is set up")
    else:
        click.echo(clean_lines(adoption.difference))
        if dry_run or not _may_write(yes=yes, num_files=len(adoption.edits)):
            click.echo("nothing was written")
            return 0
        adopting.write_adoption(adoption)
        click.echo(f"written: {', '.join(adoption.written)}")
    if dry_run:
        return 0
    status = _try_project(adoption.root) if gates else 0
    click.echo("\nfrom now on:")
    for command, purpose in adopting.NEXT_COMMANDS:
        click.echo(f"  {command:<26}  {purpose}")
    return status


def _may_write(*, yes: bool, num_files: int) -> bool:
    """Whether files may be written: by option, or confirmed on a terminal."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError(
            "nothing was written, since there is no terminal to ask on",
            next_step="look at the files above, then run 'mainstay init --yes'",
        )
    return click.confirm("write this file?" if num_files == 1 else f"write these {num_files} files?")


def _rehearsal() -> Callable[..., Rehearsal]:
    """The function that rehearses a gate up to its first pair."""
    from mainstay.commands.rehearsal import rehearse

    return rehearse


def _try_project(folder: Path) -> int:
    """Examine a project in full, and gate its tree against itself if nothing stands in the way."""
    from mainstay.commands import doctor as examination
    from mainstay.commands import init as adopting

    with observed(REPEAT_INIT):
        report = examination.examine(folder, quick=False, rehearse=_rehearsal())
    click.echo(f"\n{examination.render_text(report)}")
    if report.exit_status:
        return report.exit_status
    with observed(RESUME_GATE) as observer:
        outcome = adopting.gate_against_itself(folder, environ=os.environ, observer=observer)
    click.echo()
    _tell(outcome)
    return outcome.run.exit_status


BISECT_EXIT_STATUS_HELP = """
\b
Exit status:
    0  the guilty commit, or commits that cannot be told apart, have 95 % probability
    2  wrong usage, or nothing degraded between the two commits
    3  only a range of commits can be named
    4  the good commit, the tool or the environment is broken
  130  interrupted; the same command continues
"""


@main.command(epilog=BISECT_EXIT_STATUS_HELP)
@click.argument("good")
@click.argument("bad")
@click.option(
    "--metric", metavar="NAME", help="Metric to search by.  [default: the one whose degradation is most certain]"
)
@click.option("--confirm/--no-confirm", default=True, help="At the end, gate the guilty commit against its parent.")
@FOLDER
def bisect(*, good: str, bad: str, metric: str | None, confirm: bool, folder: Path) -> int:
    """Find the commit between GOOD and BAD that degraded a metric, with a probability.

    Each probe is a gate of one commit against GOOD; the commit is chosen from the results so far. Results are
    stored, so the same command continues an interrupted search.
    """
    from mainstay.commands import bisect as bisecting

    with observed(bisecting.RESUME) as observer:
        outcome = bisecting.bisect(
            folder, bisecting.BisectOptions(good=good, bad=bad, metric=metric, confirm=confirm),
            measure=bisecting.gates(folder, os.environ, observer), report=lambda text: click.echo(text, err=True),
        )  # fmt: skip
    click.echo(bisecting.render(outcome))
    return outcome.exit_status


@main.group()
def history() -> None:
    """Store the runs of the default branch in git, and show the trends of metrics over years."""


REMOTE = click.option(
    "--remote", metavar="NAME", help="Remote that shares the history; '.' for this repository only.  [default: origin]"
)


@history.command()
@click.argument("run", type=FILE)
@click.option(
    "--kind",
    type=click.Choice(["main", "anchor", "release"]),
    default="main",
    show_default=True,
    help="main: against the commit before; anchor: a fixed number of pairs against a reference; release: the same "
    "against the last release.",
)
@REMOTE
@FOLDER
def add(*, run: Path, kind: str, remote: str | None, folder: Path) -> int:
    """Store the document RUN of a gate, if it is a valid run of the default branch."""
    from mainstay.commands import history as keeping

    entry, arrived = keeping.add(folder, run, kind=kind, remote=remote, environ=os.environ)
    click.echo(f"kept: {entry.file}" if arrived else f"waits in the inbox for the next writer: {entry.file}")
    return 0


@history.command("list")
@REMOTE
@FOLDER
def list_history(*, remote: str | None, folder: Path) -> int:
    """List the local stored runs, in the order of the default branch."""
    from mainstay.commands import history as keeping

    click.echo(keeping.render_list(keeping.read(folder, remote=remote, environ=os.environ)))
    return 0


@history.command("show")
@click.argument("name")
@REMOTE
@FOLDER
def show_history(*, name: str, remote: str | None, folder: Path) -> int:
    """Show the stored run NAME; the beginning of its name or of its commit is enough."""
    from mainstay.commands import history as keeping

    click.echo(keeping.render_entry(keeping.find(keeping.read(folder, remote=remote, environ=os.environ), name)))
    return 0


@history.command()
@click.argument("name")
@click.option("--reason", required=True, help="Why it is withdrawn.")
@REMOTE
@FOLDER
def withdraw(*, name: str, reason: str, remote: str | None, folder: Path) -> int:
    """Withdraw the stored run NAME, so that it no longer counts; nothing is rewritten."""
    from mainstay.commands import history as keeping

    click.echo(f"withdrawn: {keeping.withdraw(folder, name, reason=reason, remote=remote)}")
    return 0


@history.command()
@click.option("--restore", is_flag=True, help="Append files again that were removed from a branch or altered.")
@click.option(
    "--forget",
    is_flag=True,
    help="Accept a branch as it is, and drop local files that were removed from it or altered.",
)
@REMOTE
@FOLDER
def sync(*, restore: bool, forget: bool, remote: str | None, folder: Path) -> int:
    """Fetch the runs that others have added, and append those that wait in the inbox."""
    from mainstay.commands import history as keeping

    if restore and forget:
        raise click.UsageError("--restore and --forget exclude each other")
    found, num_waiting = keeping.sync(folder, remote=remote, restore=restore, forget=forget)
    waiting = f", {num_waiting} wait in the inbox for the next writer" if num_waiting else ""
    click.echo(f"{len(found.runs)} runs count, {found.num_withdrawn} withdrawn, {len(found.unread)} not read{waiting}")
    return 0


@history.command("page")
@click.option("--output", type=OUTPUT, required=True, help="File of the page; the feed is written next to it.")
@click.option("--title", help="Name of the project.  [default: the folder's]")
@REMOTE
@FOLDER
def history_page(*, output: Path, title: str | None, remote: str | None, folder: Path) -> int:
    """Write a page with the trend of every metric, and a feed of confirmed changes."""
    from mainstay.commands.history_page import write_page

    feed = write_page(folder, output, title=title, remote=remote, environ=os.environ)
    click.echo(f"written: {os.path.relpath(output)} and {os.path.relpath(feed)}")
    return 0


def run(arguments: list[str] | None = None) -> int:
    """Run a command line; a fault of mainstay ends with 4, since Python's usual 1 would mean a fail.

    Args:
        arguments: Arguments without the program's name; those of the process if ``None``.

    Returns:
        The exit status.
    """
    debug = "--debug" in (sys.argv[1:] if arguments is None else arguments)
    try:
        return int(main.main(args=arguments, prog_name="mainstay", standalone_mode=False) or 0)
    except MainstayError as error:
        return _complain(error, debug=debug)
    except click.exceptions.Abort:
        return _complain(Interrupted("interrupted"), debug=debug)
    except click.ClickException as error:
        error.show()
        return 2
    except SystemExit:  # click ends so on a broken pipe, with a status that would mean a fail
        return MainstayError.exit_status
    except OSError as error:
        refused = MainstayError(
            f"the system refused: {error.strerror or error}",
            looked_in=None if error.filename is None else str(error.filename),
            next_step="correct the cause, then try again; 'mainstay --debug' shows the traceback",
        )
        return _complain(refused, debug=debug)
    except Exception as error:  # noqa: BLE001 - the last handler: Python itself would end with 1
        fault = MainstayError(
            f"{type(error).__name__}: {error}",
            next_step="this is a fault of mainstay, please report it with the traceback above",
        )
        return _complain(fault, debug=True)


def _complain(error: MainstayError, *, debug: bool) -> int:
    if debug:
        click.echo(clean_lines(traceback.format_exc()), err=True, nl=False)
    click.echo(clean_lines(f"error: {error}"), err=True)
    return error.exit_status


class _PerhapsUnread(io.FileIO):
    """A stream whose reader may leave early, such as ``head``, without affecting the exit status."""

    _is_lost = False

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            if not self._is_lost:
                return super().write(data)
        except BrokenPipeError:
            self._is_lost = True
        except OSError:
            self._is_lost = True
            raise
        return memoryview(data).nbytes


def _perhaps_unread(stream: TextIO) -> TextIO:
    """Wrap a stream so that its reader may leave early."""
    raw = _PerhapsUnread(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=stream.encoding, errors=stream.errors, line_buffering=stream.isatty()
    )


def entry_point() -> NoReturn:
    """The ``mainstay`` command."""
    status = Interrupted.exit_status
    with interrupts_taken(until_exit=True), suppress(KeyboardInterrupt):
        if sys.stdout is not None:  # None if it was closed before the start
            sys.stdout = _perhaps_unread(sys.stdout)
        if sys.stderr is not None:
            sys.stderr = _perhaps_unread(sys.stderr)
        status = run()
    gc.freeze()  # Python collects garbage at the end: a tenth of the time of a short command
    sys.exit(status)
