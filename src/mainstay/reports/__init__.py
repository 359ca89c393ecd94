"""Reports: pure renderings of one run, byte-identical on every machine.

A report is a function of the run alone: no clock, no locale, no file, no environment variable, no order of a set.

- :mod:`~mainstay.reports.forms`: all forms of report, by name.
- :mod:`~mainstay.reports.cleaning`: sanitised text from the repository.
- :mod:`~mainstay.reports.view`: a run as rows of display text, which every report shares.
- :mod:`~mainstay.reports.text`, :mod:`~mainstay.reports.terminal`: the reports for a log and for a terminal.
- :mod:`~mainstay.reports.markdown`: the report for a pull request and a job summary.
- :mod:`~mainstay.reports.html`, with :mod:`~mainstay.reports.figures` and :mod:`~mainstay.reports.flips`: one page with
  everything.
- :mod:`~mainstay.reports.junit`, :mod:`~mainstay.reports.annotations`: the reports for CI systems.
- :mod:`~mainstay.reports.comparison`: two runs side by side.
"""
