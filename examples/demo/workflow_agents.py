"""Agents for the shipped workflows: ``bmad-otel execute product-development --demo``."""

from __future__ import annotations

from typing import Final

from .work import model_team, product_team

AGENTS: Final[dict[str, type]] = {
    agent.__name__: agent
    for agent in (
        product_team.ProductOwner,
        product_team.Architect,
        product_team.BackendDeveloper,
        product_team.FrontendDeveloper,
        product_team.TestEngineer,
        product_team.SecurityDeveloper,
        product_team.DevOpsInfra,
        model_team.DataEngineer,
        model_team.RnD,
        model_team.AiDeveloper,
        model_team.QualityGuardian,
    )
}
