"""One name per agent, as the engine has it."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=4096)  # more spellings than there can be agents; each is folded and looked up once
def canonical(name: str) -> str:
    """The canonical name of an agent under any of its spellings; any other name, made safe."""
    from bmad_processor.agent_names import canonical as resolve

    return resolve(name)
