// Sends spans, metrics and log records with the JavaScript SDK, then prints what it sent as JSON.
//
//   node send.mjs grpc|http/protobuf|http/json ENDPOINT [gzip]
//
// The SDK is used as its documentation shows; nothing here knows who receives.

import { SpanStatusCode, metrics, trace } from "@opentelemetry/api";
import { SeverityNumber, logs } from "@opentelemetry/api-logs";
import { OTLPLogExporter as GrpcLogs } from "@opentelemetry/exporter-logs-otlp-grpc";
import { OTLPLogExporter as JsonLogs } from "@opentelemetry/exporter-logs-otlp-http";
import { OTLPLogExporter as ProtoLogs } from "@opentelemetry/exporter-logs-otlp-proto";
import { OTLPMetricExporter as GrpcMetrics } from "@opentelemetry/exporter-metrics-otlp-grpc";
import { OTLPMetricExporter as JsonMetrics } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPMetricExporter as ProtoMetrics } from "@opentelemetry/exporter-metrics-otlp-proto";
import { OTLPTraceExporter as GrpcSpans } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as JsonSpans } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtoSpans } from "@opentelemetry/exporter-trace-otlp-proto";
import { NodeSDK, logs as sdkLogs, metrics as sdkMetrics, resources } from "@opentelemetry/sdk-node";

const EXPORTERS = {
  grpc: [GrpcSpans, GrpcMetrics, GrpcLogs],
  "http/protobuf": [ProtoSpans, ProtoMetrics, ProtoLogs],
  "http/json": [JsonSpans, JsonMetrics, JsonLogs],
};

const N_TASKS = 120;
const N_ERRORS = 12;
const N_LOGS = 7;

const [protocol, endpoint, compression = "none"] = process.argv.slice(2);
const [Spans, Metrics, Logs] = EXPORTERS[protocol];
const options = (signal) => ({
  url: protocol === "grpc" ? `http://${endpoint}` : `http://${endpoint}/v1/${signal}`,
  compression,
});

const sdk = new NodeSDK({
  autoDetectResources: false,
  resource: resources.resourceFromAttributes({
    "service.name": "node-agents",
    "service.instance.id": `node-${process.pid}`,
  }),
  traceExporter: new Spans(options("traces")),
  metricReaders: [
    new sdkMetrics.PeriodicExportingMetricReader({
      exporter: new Metrics(options("metrics")),
      exportIntervalMillis: 60_000,
    }),
  ],
  logRecordProcessors: [new sdkLogs.BatchLogRecordProcessor({ exporter: new Logs(options("logs")) })],
});
sdk.start();

const tracer = trace.getTracer("node-agents");
const duration = metrics.getMeter("node-agents").createHistogram("gen_ai.invoke_agent.duration", { unit: "s" });
const queue = metrics.getMeter("node-agents").createUpDownCounter("bmad.agent.queue.size", { unit: "{task}" });
const logger = logs.getLogger("node-agents");
const traceIds = [];

for (let i = 0; i < N_TASKS; i++) {
  const attributes = { "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "NodeSpanAgent" };
  const span = tracer.startSpan("invoke_agent NodeSpanAgent", { attributes });
  if (i < N_ERRORS) span.setStatus({ code: SpanStatusCode.ERROR, message: "did not work" });
  span.end();
  traceIds.push(span.spanContext().traceId);

  const measured = { ...attributes, "gen_ai.agent.name": "NodeMetricAgent" };
  duration.record(0.25, i < N_ERRORS ? { ...measured, "error.type": "RangeError" } : measured);
}
queue.add(3, { "gen_ai.agent.name": "NodeMetricAgent" });
for (let i = 0; i < N_LOGS; i++) {
  logger.emit({ severityNumber: SeverityNumber.INFO, severityText: "INFO", body: `record ${i} – ünïcödé` });
}

await sdk.shutdown();
console.log(JSON.stringify({ traceIds, tasks: N_TASKS, errors: N_ERRORS, logs: N_LOGS }));
