"""A training for prove_fluent.py that is to be killed: `killed_loop.py STEP_MS`.

Logs a point, now and then three and a tag, and says at once which step that was and when (the clock of the machine).
"""

from __future__ import annotations

import sys
from time import monotonic, sleep

from penstock import tracking


def main() -> None:
    pause = float(sys.argv[1]) / 1000
    with tracking.start_run() as run:
        tracking.log_params({"pause": pause, "kind": "killed"})
        step = 0
        while True:
            if step % 10:
                tracking.log_metric("step", step, step=step)
            else:
                tracking.log_metrics({"step": step, "twice": 2 * step, "half": step / 2}, step=step)
                tracking.set_tag("at", step)
            print(run.info.run_id, step, monotonic(), flush=True)
            step += 1
            sleep(pause)


main()
