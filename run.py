"""`python run.py`: the original simulator's command line, turned into a Locust command.

It prints the `locust` command it stands for and becomes it; see banksim/cli/launch.py.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from banksim.cli.launch import main

sys.exit(main())
