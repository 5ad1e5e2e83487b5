"""Set-ups of the peers, each in the environment that `venvs` makes: their decorator as their own pages show it.

No network: where a peer takes a span processor or an exporter, it gets one that throws spans away; where it does not,
the ``export`` of the exporter it makes is replaced by one that does.
"""
