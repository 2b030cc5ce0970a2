"""Command line: one file per verb; the only place that prints or exits."""
