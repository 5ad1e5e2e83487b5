"""The agents of the workflow ``product-development``: from the public functions of a Python package to a release of its
documentation. The package is ``package`` of the context, by default ``email`` of the standard library.

Plain classes without any decorator: the workflow tracks their tasks.
"""

from __future__ import annotations

import ast
import asyncio
import hashlib
import html
import importlib.util
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from . import corpus
from .architect import components, imports_of, module_name
from .security_developer import findings_in
from .test_engineer import questionable

Context = Mapping[str, Any]


def package_of(context: Context) -> Path:
    """The directory of the package that is worked on."""
    name = str(context.get("package", "email"))
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise LookupError(f"there is no package {name!r}")
    return Path(next(iter(spec.submodule_search_locations)))


def public_functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions and methods whose names do not begin with an underscore."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node


class ProductOwner:
    """Reads what users can do from the first lines of docstrings."""

    async def create_user_story(self, context: Context) -> list[dict[str, str]]:
        stories = []
        for path in corpus.package_files(package_of(context)):
            for function in public_functions(ast.parse(corpus.read(path))):
                if text := ast.get_docstring(function):
                    stories.append({"module": path.stem, "name": function.name, "story": text.partition("\n")[0]})
            await asyncio.sleep(0)
        return stories


class Architect:
    """Draws the import graph of the package."""

    def design_architecture(self, context: Context) -> dict[str, Any]:
        package = package_of(context)
        graph: dict[str, set[str]] = {}
        for path in corpus.package_files(package):
            module = module_name(path, package.parent)
            graph[module] = imports_of(corpus.read(path), module, is_package=path.name == "__init__.py")
        cycles = [sorted(group) for group in components(graph) if len(group) > 1]
        stories = {story["module"] for story in context["inputs"]["create-story"]}
        return {"modules": len(graph), "imports": sum(map(len, graph.values())), "cycles": cycles, "used": len(stories)}


class BackendDeveloper:
    """Describes every public function with its parameters."""

    def build_api(self, context: Context) -> list[dict[str, Any]]:
        return [
            {"module": path.stem, "name": function.name, "parameters": [a.arg for a in function.args.args]}
            for path in corpus.package_files(package_of(context))
            for function in public_functions(ast.parse(corpus.read(path)))
        ]


class FrontendDeveloper:
    """Renders a page with the public functions and their signatures."""

    def build_component(self, context: Context) -> str:
        rows = [
            f"<tr><td>{html.escape(path.stem)}<td><code>{html.escape(ast.unparse(function.args))}</code>"
            for path in corpus.package_files(package_of(context))
            for function in public_functions(ast.parse(corpus.read(path)))
        ]
        return f"<!doctype html><title>{html.escape(package_of(context).name)}</title><table>{''.join(rows)}</table>"


class TestEngineer:
    """Compiles every module and names the questionable places."""

    __test__ = False  # for pytest, which collects classes by this kind of name

    def run_tests(self, context: Context) -> dict[str, Any]:
        found = []
        files = corpus.package_files(package_of(context))
        for path in files:
            tree = ast.parse(corpus.read(path), str(path))
            compile(tree, str(path), "exec", dont_inherit=True)
            found += [f"{path.name}:{line}: {what}" for line, what in questionable(tree)]
        return {"compiled": len(files), "functions": len(context["inputs"]["build-backend"]), "questionable": found}


class SecurityDeveloper:
    """Looks for secrets and dangerous calls."""

    async def run_security_scan(self, context: Context) -> list[str]:
        found = []
        for path in corpus.package_files(package_of(context)):
            found += [
                f"{finding.file}:{finding.line}: {finding.what}"
                for finding in findings_in(path.name, corpus.read(path))
            ]
            await asyncio.sleep(0)
        return found


class DevOpsInfra:
    """Packs the release in memory, and checks what it packed."""

    def deploy_infrastructure(self, context: Context) -> dict[str, Any]:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in corpus.package_files(package_of(context)):
                packed.write(path, f"{path.parent.name}/{path.name}")
            packed.writestr("reports.json", json.dumps(context["inputs"]))
        with zipfile.ZipFile(archive) as packed:
            if (broken := packed.testzip()) is not None:
                raise OSError(f"{broken} was not packed right")
            files = len(packed.namelist())
        data = archive.getvalue()
        return {"files": files, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
