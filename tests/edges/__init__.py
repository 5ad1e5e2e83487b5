"""The OTLP edges against real peers over real sockets."""
