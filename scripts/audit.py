"""Say what a vulnerability audit has looked at, and fail where it looked at nothing.

``pip-audit`` exits with 0 when the database knows none of the packages, which is no audit. This reads the file that
``pip-audit --format json --output FILE`` wrote; a missing file means that the database could not be reached.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def audit_summary(report: Mapping[str, Any]) -> tuple[int, str]:
    """Return the exit status and the text.

    Args:
        report: What ``pip-audit --format json`` printed.

    Example:
        >>> audit_summary({"dependencies": [{"name": "torch", "skip_reason": "not found"}]})
        (1, 'audited nothing: 0 of 1 packages are known to the database')
    """
    packages = report["dependencies"]
    audited = [package for package in packages if "skip_reason" not in package]
    if not audited:
        return 1, f"audited nothing: 0 of {len(packages)} packages are known to the database"
    findings = [
        f"{package['name']} {package['version']}: {finding['id']}, mended in {', '.join(finding['fix_versions']) or 'none'}"
        for package in audited
        for finding in package["vulns"]
    ]
    heading = f"audited {len(audited)} of {len(packages)} packages: {len(findings)} known vulnerabilities"
    return int(bool(findings)), "\n".join([heading, *findings])


def main(report: Path) -> int:
    """Print the summary of a report."""
    if not report.is_file():
        print("audited nothing: the database could not be reached")
        return 1
    status, summary = audit_summary(json.loads(report.read_text("utf-8")))
    print(summary)
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
