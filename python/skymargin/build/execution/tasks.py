"""What a task is to the workers that run it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar

from skymargin.errors import SkymarginError

Spec = TypeVar("Spec")
Task = TypeVar("Task")
Result = TypeVar("Result")
# Whether the run was given up: it failed elsewhere, was interrupted, or its driver is gone.
GivenUp: TypeAlias = Callable[[], bool]
TaskFunction: TypeAlias = Callable[[Spec, Task, GivenUp], Result | SkymarginError]
Done: TypeAlias = Callable[[Task, Result], object]
