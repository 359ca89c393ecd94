"""Waivers: degradations that the maintainers decided to accept, in a reviewed TOML file of the repository.

A waiver covers one metric up to a limit and until a day. It changes a verdict, but never a number. It can cover a
degradation, a missing metric or a metric whose changed workload needs a review, but never an error. Every report shows
the findings that it covers as waived.

- :func:`read_waivers`, :func:`append_waiver`: read and extend the file.
- :func:`unknown_waivers`: waivers that match no metric, checked before anything is measured.
- :func:`apply_waivers`: apply the waivers to the findings.
"""

from __future__ import annotations

import datetime
import difflib
import math
import tomllib
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from mainstay.records.errors import ConfigurationError, StoreError, UsageError
from mainstay.records.findings import Finding, Verdict, Waiver
from mainstay.records.metrics import Metric
from mainstay.store.files import with_line_ends, write_text

JUDGED_WAIVERS = ".mainstay-judge-waivers.toml"
"""File of accepted degradations of stored results; the gate, which does not know their metrics, has its own file."""

_KEYS = tuple(field.name for field in fields(Waiver))
_HEADER = "# Accepted degradations, read by the gate; each entry needs a review, and a day on which it ends.\n"


def read_waivers(path: Path) -> tuple[Waiver, ...]:
    """Read the waivers in a file, in order.

    Args:
        path: The file; a missing file counts as empty.

    Raises:
        ConfigurationError: If the file is not TOML, or an entry has a missing or unknown key or a value of the wrong
            type.
        StoreError: If the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"the waivers cannot be read: {error}", looked_in=path.name) from error
    return parse_waivers(text, where=path.name)


def parse_waivers(text: str, *, where: str) -> tuple[Waiver, ...]:
    r"""Parse the waivers in a TOML text, see :func:`read_waivers`.

    Args:
        text: TOML with a table ``[[waiver]]`` for each entry.
        where: Its name in error messages.

    Example:
        >>> parse_waivers('[[waiver]]\nmetric = "a"\nlimit = 0.01\nreason = "b"\nuntil = 2027-01-31', where="x")
        (Waiver(metric='a', limit=0.01, reason='b', until='2027-01-31'),)
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"the waivers are not TOML: {error}", looked_in=where) from error
    unknown = next((key for key in document if key != "waiver"), None)
    entries = document.get("waiver", [])
    if unknown is not None or not isinstance(entries, list):
        raise ConfigurationError(
            f"{unknown or 'waiver'} is not a list of waivers",
            looked_in=where,
            next_step="write [[waiver]] for each entry",
        )
    return tuple(_parse_entry(entry, where=f"{where}, waiver {i}") for i, entry in enumerate(entries, start=1))


def append_waiver(path: Path, waiver: Waiver, today: datetime.date) -> None:
    """Append an entry to a file, creating the file if necessary; existing content and its line ends are unchanged.

    Args:
        path: The file.
        waiver: The entry.
        today: The day of writing.

    Raises:
        ConfigurationError: If the file or the entry cannot be read.
        UsageError: If the last day of the waiver is in the past.
        StoreError: If the file cannot be written.
    """
    read_waivers(path)
    entry = waiver_toml(waiver)
    if datetime.date.fromisoformat(waiver.until) < today:
        raise UsageError(
            f"a waiver until {waiver.until} has expired already", next_step=f"give --until a day from {today} on"
        )
    held = path.read_bytes().decode() if path.exists() else _HEADER
    write_text(path, with_line_ends(f"{held.rstrip()}\n\n{entry}", held), shown=path.name)


def waiver_toml(waiver: Waiver) -> str:
    """An entry as TOML text.

    Args:
        waiver: The entry.

    Raises:
        ConfigurationError: If the entry would not be read back.

    Example:
        >>> print(waiver_toml(Waiver(metric="w#time", limit=0.08, reason="a safer kernel", until="2027-01-31")), end="")
        [[waiver]]
        metric = "w#time"
        limit = 0.08
        reason = "a safer kernel"
        until = 2027-01-31
    """
    import tomlkit

    checked = asdict(_parse_entry(asdict(waiver), where="the waiver that was to be written"))
    text: str = tomlkit.dumps({"waiver": [{**checked, "until": datetime.date.fromisoformat(checked["until"])}]})
    return text


def apply_waivers(findings: Sequence[Finding], waivers: Iterable[Waiver], today: datetime.date) -> tuple[Finding, ...]:
    """Apply waivers to findings.

    Args:
        findings: Findings as judged.
        waivers: Waivers as read.
        today: The day of the gate.

    Returns:
        The findings with unchanged numbers. Until the last day of its waiver, a finding becomes ``waived`` if it is
        ``missing``, if it would be ``new`` but for a review, or if it is a ``fail`` or needs a review and its estimated
        degradation is within the limit. If the waiver has expired or its limit is too small, the finding keeps its verdict
        and says so.
    """
    waivers = tuple(waivers)
    return tuple(
        _waive(
            finding, [waiver for waiver in waivers if waiver.metric in (finding.metric.id, finding.metric.name)], today
        )
        for finding in findings
    )


def _waive(finding: Finding, waivers: Sequence[Waiver], today: datetime.date) -> Finding:
    """Apply the matching waivers to one finding."""
    is_waivable = finding.verdict in (Verdict.FAIL, Verdict.MISSING) or finding.needs_review
    if not waivers or not is_waivable:
        return finding
    complaints = {waiver: _complaint(finding, waiver, today) for waiver in waivers}
    covering = next((waiver for waiver, complaint in complaints.items() if not complaint), None)
    if covering is not None:
        return replace(finding, verdict=Verdict.WAIVED, waiver=covering)
    waiver, complaint = list(complaints.items())[-1]
    return replace(finding, reason=f"{finding.reason}; {complaint}", waiver=waiver)


def _complaint(finding: Finding, waiver: Waiver, today: datetime.date) -> str:
    """Why a waiver does not cover a finding; empty if it does."""
    if _has_expired(waiver, today):
        return f"its waiver expired on {waiver.until}"
    if finding.verdict is Verdict.MISSING or finding.is_new:
        return ""
    degradation = finding.measured_degradation
    if degradation is None or math.isnan(degradation):
        return "its degradation was not measured, so its waiver cannot apply"
    if not finding.metric.scale.to_margin(degradation) <= waiver.limit:
        return f"more than the {waiver.limit:g} that its waiver accepts"
    return ""


def unknown_waivers(
    waivers: Iterable[Waiver], metrics: Iterable[Metric], today: datetime.date, *, excused: Container[Waiver] = ()
) -> list[Waiver]:
    """Find unexpired waivers that match no metric, and refuse those that have no excuse for it.

    Args:
        waivers: Waivers of the candidate.
        metrics: The known metrics of either revision, whether gated now or not.
        today: The day of the gate.
        excused: Waivers that may match no metric: those of the baseline, since a change is not to blame if one of them
            waived the removal of its metric, and those whose metric may be unknown.

    Raises:
        ConfigurationError: If any other waiver matches no metric, since a typing error must not count as a decision.
    """
    known = {name for metric in metrics for name in (metric.id, metric.name)}
    unknown = [each for each in waivers if each.metric not in known and not _has_expired(each, today)]
    if slip := next((waiver for waiver in unknown if waiver not in excused), None):
        near = difflib.get_close_matches(slip.metric, sorted(known), n=1, cutoff=0.4)
        raise ConfigurationError(
            f"a waiver names the metric {slip.metric!r}, which neither revision has",
            next_step=f"did you mean {near[0]!r}?" if near else "remove the entry",
        )
    return unknown


def _has_expired(waiver: Waiver, today: datetime.date) -> bool:
    return today > datetime.date.fromisoformat(waiver.until)


def _parse_entry(entry: Any, *, where: str) -> Waiver:
    """Parse one entry; an error names the key."""
    if not isinstance(entry, Mapping):
        raise ConfigurationError("a waiver is a table", looked_in=where, next_step="write [[waiver]] for each entry")
    for key in (*entry, *_KEYS):
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"use {', '.join(_KEYS)}"
            raise ConfigurationError(f"unknown key {key!r}", looked_in=where, next_step=hint)
        if key not in entry:
            raise ConfigurationError(f"the key {key!r} is missing", looked_in=where, next_step=f"add {key}")
    return Waiver(
        metric=_text(entry, "metric", where=where),
        limit=_limit(entry["limit"], where=where),
        reason=_text(entry, "reason", where=where),
        until=_day(entry["until"], where=where),
    )


def _text(entry: Mapping[str, Any], key: str, *, where: str) -> str:
    """Check that a value is a non-empty text that can be encoded."""
    value = entry[key]
    if not isinstance(value, str) or not value.strip() or not _is_encodable(value):
        raise ConfigurationError(f"{key} is {value!r}, not a text", looked_in=where, next_step=f"give the {key}")
    return value


def _limit(value: Any, *, where: str) -> float:
    """Check that a value is a finite, non-negative degradation."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ConfigurationError(
            f"limit is {value!r}, not a degradation",
            looked_in=where,
            next_step="give it on the scale of the margin, such as 0.05",
        )
    return float(value)


def _day(value: Any, *, where: str) -> str:
    """Parse an ISO date."""
    try:
        day = value if isinstance(value, datetime.date) else datetime.date.fromisoformat(value)
    except (TypeError, ValueError):
        day = None
    if day is None or isinstance(day, datetime.datetime):
        raise ConfigurationError(
            f"until is {value!r}, not a date", looked_in=where, next_step="give the last day as YEAR-MONTH-DAY"
        )
    return day.isoformat()


def _is_encodable(text: str) -> bool:
    """Whether a text can be encoded in UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
