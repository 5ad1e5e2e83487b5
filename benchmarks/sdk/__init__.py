"""What the SDK costs: the parts of `benchmarks/sdk_overhead.py`.

Every form that is measured runs in a process of its own set-up, because OpenTelemetry's providers are set once per
process; the parent lets one of them work at a time, so that all forms share the same noise.

``child``: the measured process and its protocol; ``children``: the parent's end of it. ``setups`` and ``peers``: what
a child runs, one set-up a module (``loops``, ``discard``: what they are made of). ``venvs``: environments of the
peers. ``receiver``: an OTLP receiver that counts and throws away. ``calls``, ``threads``, ``imports``, ``memory``: one
table each (``table``).
"""
