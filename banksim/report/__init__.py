"""Files for people and machines: results.json, report.html and CSV."""

from banksim.report.write import check_folder, write_report
