"""The common ground of everything that is compared, and what a run of it leaves."""

from seo_core.lab.arm import ARMS, BUDGETS, Chapter, Need, check_arms, known, steps
from seo_core.lab.ground import Lab, open_lab
from seo_core.lab.run import Added, LabError, Made, Run

__all__ = ["ARMS", "BUDGETS", "Added", "Chapter", "Lab", "LabError", "Made", "Need", "Run", "check_arms",
           "known", "open_lab", "steps"]
