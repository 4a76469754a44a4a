r"""Run the tests marked ``gpu``, and write what became of each.

    python tools/benchmarks/card_tests.py --json work_dirs/tests.json

The file is written after each test: if one hangs, the others are in it, and its name, too. Without a GPU, all are
skipped.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Optional

import pytest

from mmlgd.utils.files import write_whole

ROOT = Path(__file__).resolve().parents[2]


class Record:
    """A plugin of pytest: outcomes, and the test that runs.

    Args:
        file (Path): Where they are kept.
    """

    def __init__(self, file: Path):
        self.file, self.outcomes, self.running = file, [], ''

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep a file of tests that cannot be imported.

        Args:
            report (CollectReport): Of a file.
        """
        if report.failed:
            self._keep(report)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Keep the name of the test that runs.

        Args:
            nodeid (str): Its name.
        """
        self.running = nodeid
        self._write()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the outcome of a test, and what its fixtures broke.

        Args:
            report (TestReport): Of one of its phases.
        """
        if report.when == 'call' or not report.passed:
            self.running = ''
            self._keep(report)

    def _keep(self, report) -> None:
        reason = ''
        if report.skipped:
            reason = report.longrepr[2].removeprefix('Skipped: ')
        elif report.failed:
            crash = getattr(report.longrepr, 'reprcrash', None)  # a file that cannot be imported has none
            reason = crash.message.splitlines()[0] if crash else report.longreprtext.strip().splitlines()[-1]
        self.outcomes.append(dict(test=report.nodeid, outcome=report.outcome, reason=reason))
        self._write()

    def _write(self) -> None:
        counts = {
            name: sum(one['outcome'] == name for one in self.outcomes) for name in ('passed', 'failed', 'skipped')
        }
        lines = [', '.join(f'{count} {name}' for name, count in counts.items()) + '.']
        if self.running:
            lines.append(f'It was in `{self.running}`.')
        failed = [f'- `{one["test"]}`: {one["reason"]}' for one in self.outcomes if one['outcome'] == 'failed']
        lines += ['\n'.join(failed)] if failed else []
        skipped = sorted({one['reason'] for one in self.outcomes if one['outcome'] == 'skipped'})
        lines += [f'Skipped: {reason}' for reason in skipped]
        content = dict(title='Tests of a card', table='\n\n'.join(lines), counts=counts, tests=self.outcomes)
        write_whole(self.file, json.dumps(content, indent=1).encode())


def main(argv: Optional[list[str]] = None) -> None:
    """Run them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--json', type=Path, required=True, help='write the outcomes here')
    args = parser.parse_args(argv)
    # All that tests of a card import; others may need packages that a card's machine has not.
    files = [file for file in sorted((ROOT / 'tests').rglob('test_*.py')) if 'tests.devices' in file.read_text()]
    if not files:
        parser.error(f'there are no tests in {ROOT}: this takes a checkout.')
    pytest_args = ['-v', '-m', 'gpu', '-p', 'no:cacheprovider', '--continue-on-collection-errors', '--durations=10']
    sys.exit(pytest.main([*pytest_args, f'--rootdir={ROOT}', *map(str, files)], plugins=[Record(args.json.resolve())]))


if __name__ == '__main__':
    main()
