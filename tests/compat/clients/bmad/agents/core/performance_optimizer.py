"""What DocumentationAgent keeps where it calls a monitor."""


class PerformanceOptimizer:
    def __init__(self):
        self.cache = {}
