"""More than one process: a supervisor, N workers that share its ports, each the owner of its part of the agents.

`supervisor` is the process that was started: ports, lock, questions, restarts. `worker` is the process that takes
telemetry; its engine owns the partitions that `ownership` gives it, and `router` hands the samples of the others to their
owners over `link`s. `channel` carries frames, `samples` is what samples look like on it, `control` what supervisor and
worker say to each other. Decision 17 has the reasons.
"""
