"""From what the SDK has collected to the receiver: requests, sending, the disk, and the counts of all that.

`queue` is the SDK's batch processor with a count; `exporters` are exporters for the SDK, which make OTLP requests
(`encoding`) and hand them to a `sender`; it sends by `grpc_transport` or `http_transport` to a `target`, tries again
what did not arrive, and leaves on disk (`spool`) what it gives up. `ledger` counts every item: exported or dropped,
with the reason.

The OTLP exporters of OpenTelemetry are not used: they cannot be told by when to be done, try again for up to 10 s
inside one blocking call, keep a gRPC channel over a fork, cannot hand back what they give up, and log every failure.
Requests are encoded by OpenTelemetry's own encoders.
"""
