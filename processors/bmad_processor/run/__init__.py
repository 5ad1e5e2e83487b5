"""Run: where an engine lives.

`service` is the collector process; `host` owns the engine and its clock, `pipeline` is the way of one request, `commit`
the order in which things are written and said, `announce` says them. Nothing is imported here: each place needs other
things installed.
"""
