"""All checks, one after the other."""

from __future__ import annotations

from collections.abc import Callable

from flows.doctor.corpus import CORPUS_CHECKS
from flows.doctor.finding import Finding, Patient
from flows.doctor.machine import MACHINE_CHECKS
from flows.doctor.orchestration import ORCHESTRATION_CHECKS

__all__ = ["examine"]


def examine(patient: Patient, tell: Callable[[str], None]) -> list[Finding]:
    """What every check finds, in a fixed order; `tell` is given the name of each before it runs."""
    findings: list[Finding] = []
    for check in (*MACHINE_CHECKS, *ORCHESTRATION_CHECKS, *CORPUS_CHECKS):
        tell(check.__name__.strip("_").replace("_", " "))
        findings += check(patient)
    return findings
