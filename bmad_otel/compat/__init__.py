"""What programs written for BMAD import, on the SDK of this project: the same names, with what they promise.

`bmad` is the drop-in for BMAD's monitor module, `tracing` and `tracing_service` for its tracing, `metrics_collector`
for its second monitor, `orchestrator` for the helper its documentation speaks of. `instrument` puts all of it into a
BMAD that is used as it is. Nothing here happens on import, but for `bmad` (see there).
"""
