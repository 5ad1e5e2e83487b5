"""A workflow on agents of your own: python -m examples.workflow

Four tasks of three agents. Both reviews run at the same time, one of them as a coroutine; the first attempt to publish
fails and is made again. Sends one trace to a collector on localhost:4317; OTEL_TRACES_EXPORTER=console shows it.
"""

import asyncio
import re
from typing import Any

from bmad_otel import configure, current_task
from bmad_otel.workflow import TaskStatus, Workflow, WorkflowTask, run_workflow

TEXT = "The owl is nocturnal. It hunts at night. It hunts mice at night, and it sees very well."

PLAN = Workflow(
    "article",
    (
        WorkflowTask("draft", "Writer", "write"),
        WorkflowTask("style", "Reviewer", "find_repetitions", depends_on=("draft",), timeout_s=10),
        WorkflowTask("length", "Reviewer", "count_words", depends_on=("draft",), timeout_s=10),
        WorkflowTask("publish", "Publisher", "publish", depends_on=("style", "length"), retries=2, retry_delay_s=0.1),
    ),
)


class Writer:
    def write(self, text: str) -> list[str]:
        """Gets ``text`` from the context, because it has a parameter of this name."""
        return re.findall(r"[^.]+\.", text)


class Reviewer:
    async def find_repetitions(self, context: dict[str, Any]) -> list[str]:
        """Gets the whole context; the results of the tasks it depends on are its ``inputs``."""
        await asyncio.sleep(0)  # where one that asks a model would wait for its answer
        current_task().record_usage(input_tokens=120, output_tokens=8, model="my-model")
        words = re.findall(r"\w{3,}", " ".join(context["inputs"]["draft"]).lower())
        return sorted({word for word in words if words.count(word) > 1})

    def count_words(self, context: dict[str, Any]) -> int:
        return sum(len(sentence.split()) for sentence in context["inputs"]["draft"])


def publish(_task: WorkflowTask, context: dict[str, Any]) -> str:
    """An agent may be a function as well."""
    if context["attempt"] == 1:
        raise ConnectionError("the server is not up yet")
    return f"{context['inputs']['length']} words, repeated: {', '.join(context['inputs']['style'])}"


def main() -> None:
    configure(service_name="article")
    agents = {"Writer": Writer, "Reviewer": Reviewer, "Publisher": publish}
    result = run_workflow(PLAN, agents, context={"text": TEXT})
    for task in result.tasks.values():
        print(f"{task.id}: {task.status}, {task.attempts} attempt(s), {task.result}")
    assert result.status is TaskStatus.OK
    print(f"{result.name} {result.status}, tokens: {result.as_dict()['cost_analysis']['input_tokens']}")


if __name__ == "__main__":
    main()
