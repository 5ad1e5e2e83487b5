"""More than one process: a supervisor, and N workers that share its ports, each the owner of its part of the agents.

`collector` is the process that was started: ports, lock, questions. Its `supervisor` starts workers, and dead ones
again. `worker` is a process that takes telemetry; its engine owns the partitions that `ownership` gives it, and
`router` hands the samples of the others to their owners over `link`s. `channel` carries frames, `samples` is what
samples look like on it, `control` what supervisor and worker say to each other. Decision 17 has the reasons.
"""
