"""A small registry: a runnable type with fields of many kinds, the flowable kinds, a trigger."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kestrapy.model.registry import (
    ConditionType,
    Holds,
    Kind,
    Registry,
    TaskType,
    TriggerType,
    index,
)


class _Properties(BaseModel):
    model_config = ConfigDict(extra="forbid")


class EchoProperties(_Properties):
    message: str | list[str]
    level: Literal["INFO", "WARN"] = "INFO"
    count: int = 1
    numbers: list[int] | str = ""
    exit_code: int = Field(default=0, alias="exitCode", ge=0)
    options: Options | None = None


class Options(_Properties):
    verbose: bool = False
    depth: int = 0
    note: str = ""

    @model_validator(mode="after")
    def _check(self) -> Options:
        if self.verbose and not self.depth:
            raise ValueError("a verbose echo needs a depth")
        return self


class NoProperties(_Properties):
    pass


class CronProperties(_Properties):
    cron: str
    zone: str = "UTC"


class PollProperties(_Properties):
    uri: str = ""


class IsProperties(_Properties):
    state: str = ""


REGISTRY = Registry(
    index(
        [
            TaskType("acme.core.Echo", Kind.RUNNABLE, EchoProperties, ("echo",)),
            TaskType("acme.core.Later", Kind.RUNNABLE, NoProperties, ("later",), runs=False),
            TaskType("acme.flow.Sequential", Kind.SEQUENTIAL, NoProperties, ("sequential",)),
            TaskType("acme.flow.Parallel", Kind.PARALLEL, NoProperties, ("parallel",)),
            TaskType("acme.flow.Dag", Kind.ORDERED, NoProperties, ("dag",)),
        ]
    ),
    index(
        [
            TriggerType(
                "acme.Cron", CronProperties, ("cron",), waiting=frozenset(["labels", "zone"])
            ),
            TriggerType(
                "acme.Poll",
                PollProperties,
                ("poll",),
                is_polling=True,
                runs=False,
                without=("acme.Several",),
            ),
        ]
    ),
    index(
        [
            ConditionType("acme.Is", IsProperties, ("is",)),
            ConditionType("acme.Not", NoProperties, ("not",), Holds.LIST, of_executions=True),
            ConditionType("acme.Several", NoProperties, ("several",), Holds.MAP),
        ]
    ),
)
