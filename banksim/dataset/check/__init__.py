"""The self-check of a data set: is it like what was published, and can fraud be told too easily?"""

from banksim.dataset.check.checker import Checker, Report, report

__all__ = ["Checker", "Report", "report"]
