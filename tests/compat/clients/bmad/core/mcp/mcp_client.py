"""A client of its own kind of MCP: tools are functions in the same process."""

from dataclasses import dataclass, field
from itertools import count
from typing import Any


@dataclass
class MCPTool:
    name: str
    description: str
    input_schema: dict
    output_schema: dict
    category: str
    handler: Any = None


@dataclass
class MCPContext:
    agent_id: str | None = None
    metadata: dict = field(default_factory=dict)


@dataclass
class MCPResponse:
    request_id: str
    success: bool
    data: Any = None
    error: str | None = None


class MCPClient:
    def __init__(self):
        self.tools = {}
        self.ids = count()
        self.contexts = {}
        self.requests = {}
        self.responses = {}

    def register_tool(self, tool):
        self.tools[tool.name] = tool
        return True

    def get_tool(self, name):
        return self.tools.get(name)

    async def create_enhanced_context(self, agent_id=None, metadata=None):
        context = MCPContext(agent_id, metadata or {})
        self.contexts[str(next(self.ids))] = context
        return context

    async def call_tool(self, tool_name, parameters, context):
        request_id = str(next(self.ids))
        self.requests[request_id] = parameters
        tool = self.get_tool(tool_name)
        if tool is None:
            return MCPResponse(request_id, False, error=f"Tool not found: {tool_name}")
        try:
            data = parameters if tool.handler is None else await tool.handler(parameters, context)
        except Exception as error:
            return MCPResponse(request_id, False, error=str(error))
        response = self.responses[request_id] = MCPResponse(request_id, True, data)
        return response
