"""OTLP 1.11 as tests against a real process over real sockets: ours by default, any other receiver on request.

A test's name begins with the row it belongs to (`rows.ROWS`); a row holds when all of its tests pass.

    pytest tests/conformance                                            our collector
    pytest tests/conformance -m "" --target rotel                       a peer this suite can start
    pytest tests/conformance -m "" --target-grpc h:4317 --target-http h:4318   whatever listens there

`make conformance` runs all of them and prints the scoreboard.
"""
