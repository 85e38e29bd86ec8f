"""`assay warm` that puts no time into its log: the test is the clock.

python -m tests.streams.warm.timeless warm
"""

from streams.cli import main
from streams.warm import telemetry_agent

if __name__ == "__main__":
    telemetry_agent.TICK_EVERY_S = 1e9
    main()
