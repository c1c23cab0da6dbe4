"""Skill: scoring one month, adding up, and hindcasting many months; the names that callers use."""

from tidenet.verification.hindcasts import EvaluationRow, hindcast, summarise
from tidenet.verification.scoring import (
    PredictedMonth,
    ReferenceMonth,
    SkillSums,
    add_up,
    crps_of_members,
    crps_of_normal,
    score_month,
    scores,
)

__all__ = [
    "EvaluationRow",
    "PredictedMonth",
    "ReferenceMonth",
    "SkillSums",
    "add_up",
    "crps_of_members",
    "crps_of_normal",
    "hindcast",
    "score_month",
    "scores",
    "summarise",
]
