"""What the SDK costs: per call, per thread, at import and in memory, beside OpenTelemetry itself and beside the peers.

    python benchmarks/sdk_overhead.py [--rounds 15] [--calls 5000] [--peers] [--quick]

CPU time, not time on the wall; everything that is compared runs in one go and in turn, in processes of its own where it
needs OpenTelemetry providers of its own (package ``sdk``). ``--peers`` installs the peers' packages, pinned in
``sdk/peers.txt``, in throw-away environments under the user's cache directory and measures their decorators in the same
run. ``--quick`` proves that all of it works; its figures are worth nothing.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform

from sdk import calls, imports, memory, threads
from sdk.receiver import Receiver


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each form, default 15")
    parser.add_argument("--calls", type=int, default=5000, help="calls a measurement, default 5000")
    parser.add_argument("--peers", action="store_true", help="measure the peers' decorators as well")
    parser.add_argument("--quick", action="store_true", help="a few calls of everything")
    arguments = parser.parse_args()
    rounds, n_calls, million, agents = arguments.rounds, arguments.calls, 1_000_000, 900
    if arguments.quick:
        rounds, n_calls, million, agents = 1, 50, 1000, 20
    if rounds < 1 or n_calls < 8:
        parser.error("at least 1 round of 8 calls is needed")
    print(f"Python {platform.python_version()}, opentelemetry-sdk {importlib.metadata.version('opentelemetry-sdk')}")
    with Receiver() as receiver:
        calls.report(receiver, rounds=rounds, calls=n_calls, with_peers=arguments.peers)
        threads.report(receiver, rounds=min(rounds, 5), calls=n_calls)
        imports.report(receiver, rounds=min(rounds, 10))
        memory.report(receiver, calls=million, agents=agents)


if __name__ == "__main__":
    main()
