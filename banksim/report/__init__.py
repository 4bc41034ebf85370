"""Files for people and machines: results.json, report.html and CSV."""

from banksim.report.results import SCHEMA, build_results
from banksim.report.write import check_folder, write_report

__all__ = ["SCHEMA", "build_results", "check_folder", "write_report"]
