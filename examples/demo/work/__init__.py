"""What the agents do: one module per agent, each one real work on this machine's own Python files, and nothing faked.

An agent is a plain class named like the agent, with ``@track_task`` on the methods that are its tasks. Its method
``tasks`` says what it does next; `agents_process` calls it, on a thread of its own, and paces it.
"""
