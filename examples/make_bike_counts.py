"""Makes data/bike-counts.csv: what six bicycle counters of an invented town saw in ten weeks.

Each row is one hour at one counter: the bicycles that passed it, the temperature (°C) and the rain
(mm) of that hour. The numbers are drawn with a fixed seed, so that the file is the same each time:
more people ride at rush hours, on working days, when it is warm and when it is dry.

Run ``python examples/make_bike_counts.py`` to make it anew.
"""

from __future__ import annotations

import csv
import math
import random
from datetime import datetime, timedelta
from pathlib import Path

SEED = 1817  # the year of Drais's first ride
START = datetime(2025, 4, 28)
HOURS = 10 * 7 * 24
COUNTERS = {"bridge": 260, "canal": 120, "market": 190, "park": 90, "school": 75, "station": 310}
"""Bicycles in an average hour of the day, by counter."""
WORKDAY = (
    4,
    2,
    1,
    1,
    3,
    12,
    45,
    120,
    150,
    85,
    60,
    62,
    70,
    68,
    66,
    80,
    125,
    155,
    120,
    80,
    55,
    38,
    22,
    10,
)
WEEKEND = (9, 7, 5, 3, 2, 3, 6, 12, 25, 45, 68, 84, 92, 96, 98, 96, 90, 80, 66, 50, 38, 30, 22, 14)
"""Sixtieths of that average, by hour of the day."""


def main() -> None:
    draw = random.Random(SEED)
    target = Path(__file__).parent / "data" / "bike-counts.csv"
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["hour", "counter", "bikes", "temperature", "rain"])
        for number, (temperature, rain) in enumerate(weather(draw)):
            hour = START + timedelta(hours=number)
            for counter, usual in COUNTERS.items():
                expected = usual * share(hour) * mood(temperature, rain)
                bikes = max(0, round(draw.gauss(expected, math.sqrt(expected) + 0.08 * expected)))
                row = [
                    f"{hour:%Y-%m-%dT%H:00}",
                    counter,
                    bikes,
                    f"{temperature:.1f}",
                    f"{rain:.1f}",
                ]
                writer.writerow(row)


def weather(draw: random.Random) -> list[tuple[float, float]]:
    """Temperature and rain of each hour. It stays wet for some hours once it is."""
    found = []
    wet, warmth = False, 0.0
    for number in range(HOURS):
        wet = draw.random() < (0.78 if wet else 0.035)
        warmth = 0.97 * warmth + draw.gauss(0, 0.6)
        season = 12 + 8 * number / HOURS
        day = 5 * math.sin((number % 24 - 9) / 24 * 2 * math.pi)
        found.append((season + day + warmth - 2 * wet, draw.expovariate(0.9) if wet else 0.0))
    return found


def share(hour: datetime) -> float:
    """How busy this hour is, 1 being an average one."""
    shares = WEEKEND if hour.weekday() >= 5 else WORKDAY
    return shares[hour.hour] / 60


def mood(temperature: float, rain: float) -> float:
    """How willing people are to ride in this weather."""
    return max(0.3, min(1.25, 0.55 + temperature / 40)) * math.exp(-0.35 * min(rain, 4))


if __name__ == "__main__":
    main()
