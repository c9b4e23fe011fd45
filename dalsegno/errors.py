"""Every error that Dalsegno raises on purpose.

DalsegnoError
├── InputError                what the user gave: data, arguments, names; a retry cannot help
│   ├── NotFoundError         a run, task, data set, release or object that is not there
│   └── BrokenExamplesError   data that must not go further down the line
├── ConfigurationError        settings or environment; mend them, then run again
├── ConflictError             somebody else was first; look, then decide
├── TaskFailedError           a task's own code failed; replay it
└── InfrastructureError       store, network, process; worth a retry
"""

from __future__ import annotations


class DalsegnoError(Exception):
    """What all our errors have in common: a message, and what to run next.

    Args:
        message: `<subject>: got <what came>, want <what was wanted>`.
        next_command: A command line that brings the user on, if there is one.
    """

    retryable = False

    def __init__(self, message: str, next_command: str | None = None) -> None:
        super().__init__(message)
        self.next_command = next_command


class InputError(DalsegnoError):
    """The data, an argument or a name is wrong."""


class NotFoundError(InputError):
    """Something was named that is not there."""


class BrokenExamplesError(InputError):
    """The examples are broken (not merely drifted): the line stops here."""


class ConfigurationError(DalsegnoError):
    """A setting is unknown, missing or contradicts another."""


class ConflictError(DalsegnoError):
    """The object exists already: another writer was first."""


class TaskFailedError(DalsegnoError):
    """A task of a run failed."""


class InfrastructureError(DalsegnoError):
    """The store, the network or a process let us down."""

    retryable = True
