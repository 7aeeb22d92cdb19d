"""Known vulnerabilities of what a lock file installs, by pip-audit, without taking silence for a clean bill.

    make audit, or python -m benchmarks.audit requirements.lock

pip-audit ends with "No known vulnerabilities found" and status 0 also where its database knew none of the packages, as behind a mirror.
Exit status: 0, every package was looked up and none is known to be vulnerable; 1, some are; 3, it could not be found out,
wholly or for some packages. Needs the network, and pip-audit beside the Python that runs this.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--progress-spinner", "off")


def main(lock: str, command: Sequence[str] = COMMAND) -> int:
    wanted = sum(line[:1].isalnum() and "==" in line for line in Path(lock).read_text(encoding="utf-8").splitlines())
    done = subprocess.run([*command, "--format", "json", "-r", lock], capture_output=True, text=True, check=False)
    try:
        answered = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        print(f"The database of vulnerabilities could not be asked, so nothing is known of {lock}.\n{last}")
        return 3
    lines, status = told(answered, wanted)
    print("\n".join(lines))
    return status


def told(answered: Sequence[dict[str, Any]], wanted: int) -> tuple[list[str], int]:
    """What to say of pip-audit's answer, and the exit status.

    Arguments:
        answered: `dependencies` of its JSON: name, version and vulns, or name and skip_reason.
        wanted: packages of the lock; some may be for other systems or Pythons.
    """
    looked_up = [each for each in answered if "skip_reason" not in each]
    found = [(each, flaw) for each in looked_up for flaw in each["vulns"]]
    unknown = [each["name"] for each in answered if "skip_reason" in each]
    lines = [
        f"{each['name']} {each['version']}: {flaw['id']}, mended in {', '.join(flaw['fix_versions']) or 'no release'}"
        for each, flaw in found
    ]
    lines.append(f"{len(looked_up)} of {wanted} packages looked up, {len(found)} known vulnerabilities")
    if unknown or not looked_up:
        lines.append(
            f"The database did not know {len(unknown)} ({', '.join(unknown[:5])}, ...): nothing is known of these"
        )
    return lines, 1 if found else 3 if unknown or not looked_up else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
