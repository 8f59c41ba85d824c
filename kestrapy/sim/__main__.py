"""``python -m kestrapy.sim``: simulate clusters, one for each seed."""

from __future__ import annotations

import logging
import os
from typing import Annotated

import typer

from kestrapy.sim.campaign import Campaign
from kestrapy.sim.report import Report
from kestrapy.sim.scenarios import GENERAL, SCENARIOS
from kestrapy.sim.world import World

DEFAULT_COUNT = 200


def simulate(  # noqa: PLR0913  # each is an option of the command line
    seed: Annotated[int | None, typer.Option(help="Run this seed alone.")] = None,
    seeds: Annotated[str, typer.Option(help="Run these seeds: FIRST-LAST.")] = "",
    count: Annotated[int, typer.Option(help="Run so many seeds, from 1 on.")] = DEFAULT_COUNT,
    seconds: Annotated[int, typer.Option(help="Run seeds for so long instead.")] = 0,
    jobs: Annotated[int, typer.Option(help="Processes; 0: as many as there are cores.")] = 0,
    scenario: Annotated[str, typer.Option(help=f"One of {', '.join(SCENARIOS)}.")] = GENERAL,
    trace: Annotated[bool, typer.Option(help="Print what happens (with --seed).")] = False,
    digests: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Run clusters of real servers on virtual time, with faults, and say what went wrong."""
    logging.disable(logging.CRITICAL)
    if scenario not in SCENARIOS:
        raise typer.BadParameter(f"no scenario {scenario!r}; there are {', '.join(SCENARIOS)}")
    if digests:
        for number in map(int, digests.split(",")):
            world = World(number, scenario)
            world.run()
            print(number, world.timeline.digest)
        return
    report = Report(scenario)
    if seed is not None:
        world = World(seed, scenario, print if trace else None)
        problems = world.run()
        report.one(world, problems)
        raise typer.Exit(1 if problems else 0)
    first, last = _range(seeds, count)
    campaign = Campaign(scenario, jobs or os.cpu_count() or 1, report)
    failed = campaign.for_seconds(first, seconds) if seconds else campaign.run(first, last)
    never_happened = report.summary() and scenario == GENERAL
    raise typer.Exit(1 if failed or never_happened else 0)


def _range(seeds: str, count: int) -> tuple[int, int]:
    if not seeds:
        return 1, count
    first, _, last = seeds.partition("-")
    try:
        return int(first), int(last or first)
    except ValueError:
        raise typer.BadParameter(f"--seeds is {seeds!r}, expected FIRST-LAST") from None


if __name__ == "__main__":
    typer.run(simulate)
