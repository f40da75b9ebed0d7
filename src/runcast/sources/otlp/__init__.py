"""OpenTelemetry as a source: OTLP/HTTP requests become session events.

`decode` makes plain records of a request's body (`protobuf` with it), `logs` and `spans` make events of them,
`answer` writes what an exporter expects to hear. All of it is pure: bytes and records in, values out.
"""
