"""All that a supervisor and its workers say to each other: about their processes, and about models."""

from __future__ import annotations

from typing import get_args

from penstock.http.workers.channel import Vocabulary
from penstock.http.workers.messages import ProcessMessage
from penstock.serving.fleet.messages import Command, Event

VOCABULARY = Vocabulary([*get_args(ProcessMessage), *get_args(Command), *get_args(Event)])
