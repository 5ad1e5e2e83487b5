"""What a collector may hold in memory: bytes of requests in hand, and the size of the process as a whole.

`Admission` is what a receiver asks before it reads a body, `ByteBudget` what it takes the bytes from, `MemoryLimiter`
looks at the resident set from time to time. `docs/decisions/0016` says how the three fit together.
"""

from .admission import Admission
from .budget import ByteBudget
from .config import MemoryLimiterConfig
from .limits import MemoryLimits
from .memory_limiter import MemoryLimiter, Pressure

__all__ = ["Admission", "ByteBudget", "MemoryLimiter", "MemoryLimiterConfig", "MemoryLimits", "Pressure"]
